//! Makes `schemas/src/generated` from the protos, without protoc.

use std::fs;
use std::path::{Path, PathBuf};

/// The generated module, from the root of the repository.
const GENERATED: &str = "schemas/src/generated/rescind.v1.rs";
/// Where imports are resolved, from the root of the repository.
const PROTO_ROOT: &str = "schemas/proto";
/// The package's folder below [`PROTO_ROOT`].
const PACKAGE: &str = "rescind/v1";

/// Regenerates the module from the protos; with `check` it only compares.
///
/// # Errors
/// Text for a person: a proto that does not compile, a file that cannot be read or written, or, with `check`,
/// a module that is stale.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let root = repository_root()?;
    let target = root.join(GENERATED);
    let fresh = generate(&root)?;
    if check {
        let present =
            fs::read_to_string(&target).map_err(|error| format!("cannot read {GENERATED}: {error}"))?;
        return if present == fresh {
            Ok(())
        } else {
            Err(format!("{GENERATED} is stale; run `cargo xtask codegen` and commit the result"))
        };
    }
    fs::write(&target, fresh).map_err(|error| format!("cannot write {GENERATED}: {error}"))
}

fn repository_root() -> Result<PathBuf, String> {
    // Why at run time: the compiled tool must not remember the machine that built it.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("start this with `cargo xtask`")?;
    let root = Path::new(&here).parent().ok_or("xtask is not inside a repository")?;
    Ok(root.to_path_buf())
}

fn generate(root: &Path) -> Result<String, String> {
    let include = root.join(PROTO_ROOT);
    let folder = include.join(PACKAGE);
    let listing =
        fs::read_dir(&folder).map_err(|error| format!("cannot list {PROTO_ROOT}/{PACKAGE}: {error}"))?;
    let mut files = Vec::new();
    for file in listing {
        let path = file.map_err(|error| format!("cannot list {PROTO_ROOT}/{PACKAGE}: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    // Why sorted: the output must not depend on the order of a directory.
    files.sort();
    let descriptors = protox::compile(&files, [&include]).map_err(|error| format!("{error:?}"))?;
    let module = prost_build::Module::from_protobuf_package_name("rescind.v1");
    let requests = descriptors.file.into_iter().map(|file| (module.clone(), file)).collect();
    let mut modules = prost_build::Config::new()
        .generate(requests)
        .map_err(|error| format!("cannot generate code from the protos: {error}"))?;
    modules.remove(&module).ok_or_else(|| "the protos have no package `rescind.v1`".to_owned())
}
