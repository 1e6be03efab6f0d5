//! Where things lie: the project, the user's cache, and an environment's own folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the project this was built from.
pub fn project() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// A file of `infra/local`.
pub fn local(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder of the environment that `up` leaves running: `target/local`, or what `SLUICE_LOCAL_DIR` names.
pub fn environment() -> PathBuf {
    env::var_os("SLUICE_LOCAL_DIR").map_or_else(|| project().join("target/local"), PathBuf::from)
}

/// Where heavy builds are kept between checkouts: `$XDG_CACHE_HOME/sluice` or `~/.cache/sluice`.
pub fn cache() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|caches| caches.join("sluice"))
        .context(
            "neither XDG_CACHE_HOME nor HOME is set, so there is no place to keep the built tools: set one",
        )
}
