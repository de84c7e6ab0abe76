//! What faults put up on the machine and must go away again: small disks, network namespaces, tracers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rescind_testkit::{KitError, KitResult};

use crate::proc::{Proc, tool};

/// Everything that was put up; goes away with it, in the reverse order.
#[derive(Debug, Default)]
pub struct Room {
    /// Small disks by what they are for.
    pub disks: Vec<SmallDisk>,
    /// Network namespaces.
    pub networks: Vec<Network>,
    /// Tracers that inject errors.
    pub tracers: Vec<Proc>,
}

/// A file system of some MiB in a file, mounted over a folder.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
    image: PathBuf,
}

impl SmallDisk {
    /// Makes one over `at`, which keeps its contents; whoever uses the folder must not run.
    ///
    /// # Errors
    /// The machine does not let us.
    pub fn over(at: &Path, mib: u64) -> KitResult<Self> {
        let text = |path: &Path| path.display().to_string();
        let image = at.with_extension("img");
        let aside = at.with_extension("aside");
        let file = fs::File::create(&image).map_err(KitError::because("make a disk's file"))?;
        file.set_len(mib << 20).map_err(KitError::because("size a disk's file"))?;
        tool("mkfs.ext4", &["-q", "-F", "-m", "0", &text(&image)])?;
        fs::rename(at, &aside).map_err(KitError::because("move a folder aside"))?;
        fs::create_dir_all(at).map_err(KitError::because("make a mount point"))?;
        let mounted = tool("mount", &["-o", "loop", &text(&image), &text(at)]);
        if let Err(error) = mounted {
            fs::remove_dir(at).ok();
            fs::rename(&aside, at).map_err(KitError::because("move a folder back"))?;
            return Err(error);
        }
        let disk = Self { at: at.to_owned(), image };
        tool("cp", &["-a", &format!("{}/.", text(&aside)), &text(at)])?;
        Ok(disk)
    }

    /// The folder.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Takes all space that is left.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn fill(&self) -> KitResult {
        use std::io::Write as _;
        let path = self.at.join("filler");
        let mut file = fs::File::create(path).map_err(KitError::because("make a filler"))?;
        for size in [65536, 4096, 512, 1] {
            let block = vec![0_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// There is no filler.
    pub fn empty(&self) -> KitResult {
        fs::remove_file(self.at.join("filler")).map_err(KitError::because("remove the filler"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Why lazily: whoever holds a file on it is about to end.
        tool("umount", &["-l", &self.at.display().to_string()]).ok();
        fs::remove_file(&self.image).ok();
    }
}

/// A network namespace with a link to this one.
#[derive(Debug)]
pub struct Network {
    name: String,
    /// Address of this side.
    pub near: std::net::Ipv4Addr,
}

impl Network {
    /// Makes one; `number` keeps several apart.
    ///
    /// # Errors
    /// The machine does not let us.
    pub fn make(number: u32) -> KitResult<Self> {
        let number = number % 16_000;
        let name = format!("rescind-{number}");
        let (near, far) = (format!("rn{number}"), format!("rf{number}"));
        let [_, _, high, low] = (number * 4).to_be_bytes();
        let ours = std::net::Ipv4Addr::new(10, 213, high, low | 1);
        let theirs = std::net::Ipv4Addr::new(10, 213, high, low | 2);
        tool("ip", &["netns", "add", &name])?;
        let network = Self { name: name.clone(), near: ours };
        let inside = |words: &[&str]| {
            let mut all = vec!["netns", "exec", name.as_str(), "ip"];
            all.extend_from_slice(words);
            tool("ip", &all).map(drop)
        };
        tool("ip", &["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &name])?;
        tool("ip", &["addr", "add", &format!("{ours}/30"), "dev", &near])?;
        tool("ip", &["link", "set", &near, "up"])?;
        inside(&["addr", "add", &format!("{theirs}/30"), "dev", &far])?;
        inside(&["link", "set", &far, "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        Ok(network)
    }

    /// Words before a program that is to run in it.
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// Loses so many packets of 100 in both directions, or none.
    ///
    /// # Errors
    /// There is no iptables.
    pub fn lose(&self, percent: u32) -> KitResult {
        for chain in ["INPUT", "OUTPUT"] {
            tool("ip", &["netns", "exec", &self.name, "iptables", "-F", chain])?;
            if percent > 0 {
                let share = format!("0.{percent:02}");
                let rule = ["-A", chain, "-m", "statistic", "--mode", "random", "--probability", &share];
                let mut words = vec!["netns", "exec", self.name.as_str(), "iptables"];
                words.extend(rule);
                words.extend(["-j", "DROP"]);
                tool("ip", &words)?;
            }
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        tool("ip", &["netns", "del", &self.name]).ok();
    }
}
