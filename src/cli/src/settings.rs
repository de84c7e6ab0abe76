//! Where the controller is: `cli.toml` and what the command line says instead.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::args::ClientArgs;
use crate::fault::Fault;

/// Environment variable that names `cli.toml`.
const VARIABLE: &str = "RESCIND_CONFIG";

/// Limit: a bearer token file; what `rescind init` writes has some 50 bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// A bearer token. Deliberately without `Debug` and `Display`.
pub(crate) struct Bearer(String);

impl Bearer {
    /// For the one place that puts it into a header.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where to ask, and as whom.
pub(crate) struct Settings {
    /// Address of the controller's API.
    pub(crate) url: Url,
    /// Who asks; `None`: nobody, the controller will refuse most questions.
    pub(crate) bearer: Option<Bearer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CliToml {
    url: Option<String>,
    token_file: Option<PathBuf>,
}

/// The parts of the environment that matter; an argument so that tests can choose it.
pub(crate) struct Places {
    variable: Option<OsString>,
    here: PathBuf,
    home: Option<PathBuf>,
}

impl Places {
    /// Those of this process.
    pub(crate) fn from_env() -> Self {
        Self {
            variable: env::var_os(VARIABLE).filter(|value| !value.is_empty()),
            here: PathBuf::from(".rescind/cli.toml"),
            home: env::home_dir().map(|home| home.join(".config/rescind/cli.toml")),
        }
    }

    /// The file to read; an explicit one need not exist here, reading it will say so.
    fn find(&self, explicit: Option<&Path>) -> Option<PathBuf> {
        let named = explicit.map(Path::to_owned).or_else(|| self.variable.as_ref().map(PathBuf::from));
        let usual =
            || [Some(&self.here), self.home.as_ref()].into_iter().flatten().find(|path| path.is_file());
        named.or_else(|| usual().cloned())
    }
}

impl Settings {
    /// Reads what the command line and the usual places say.
    ///
    /// # Errors
    /// Usage: no controller is named, a file cannot be read or is wrong, the URL is none.
    pub(crate) fn load(args: &ClientArgs, places: &Places) -> Result<Self, Fault> {
        let file = places.find(args.config.as_deref());
        let (toml, folder) = match &file {
            Some(path) => (read_toml(path)?, path.parent().unwrap_or(Path::new("")).to_owned()),
            None => (CliToml::default(), PathBuf::new()),
        };
        let url = args.url.clone().or(toml.url).ok_or_else(|| {
            Fault::usage(format!(
                "cannot tell where the controller is: no cli.toml was found; name it with --config, {VARIABLE} or \
                 --url, or try `rescind dev`"
            ))
        })?;
        let token_file = match (&args.auth_file, &args.act_as) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(_)) if file.is_none() => {
                return Err(Fault::usage(
                    "cannot find the token of --as without a cli.toml; name the file with --auth-file",
                ));
            }
            (None, Some(emitter)) => Some(folder.join(format!("secrets/tokens/{emitter}.token"))),
            (None, None) => toml.token_file.map(|file| folder.join(file)),
        };
        Ok(Self { url: parse_url(&url)?, bearer: token_file.as_deref().map(read_token).transpose()? })
    }
}

fn read_toml(path: &Path) -> Result<CliToml, Fault> {
    let text = fs::read_to_string(path).map_err(|error| {
        let advice = if error.kind() == io::ErrorKind::NotFound {
            "; `rescind init` or `rescind dev` makes one"
        } else {
            ""
        };
        Fault::usage(format!("cannot read `{}`: {}{advice}", path.display(), plain(&error)))
    })?;
    toml::from_str(&text).map_err(|error| {
        let why = error.message().lines().next().unwrap_or_default().to_owned();
        Fault::usage(format!("cannot use `{}`: {why}; it takes `url` and `token_file`", path.display()))
    })
}

fn parse_url(text: &str) -> Result<Url, Fault> {
    let wrong = |why: &str| {
        Fault::usage(format!(
            "`{text}` is no address of a controller ({why}); write it as `http://127.0.0.1:7420`"
        ))
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_none() => Err(wrong("no host")),
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            Err(Fault::usage("the controller's address must hold no user or password; use a token file"))
        }
        "http" | "https" => Ok(url),
        _ => Err(wrong("neither http nor https")),
    }
}

fn read_token(path: &Path) -> Result<Bearer, Fault> {
    let cannot = |why: &str| Fault::usage(format!("cannot use the token file `{}`: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| cannot(&plain(&error)))?.len();
    if length > TOKEN_BYTES_MAX {
        return Err(cannot("it is too long for a token; give the file that `rescind init` wrote"));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(&plain(&error)))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(cannot("it holds no token; give the file that `rescind init` wrote"));
    }
    Ok(Bearer(token.to_owned()))
}

/// An I/O error in lower case without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
