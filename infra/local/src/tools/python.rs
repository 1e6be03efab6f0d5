//! Virtual environments with pinned packages. Two, because MiniStack and aws-sam-cli pin different boto3.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Recipe, find, program, step};
use crate::places;

/// The environment of MiniStack and what its SAM transform needs.
pub async fn ministack() -> Result<PathBuf> {
    environment(
        "ministack",
        "1.5.33",
        "about 20 seconds",
        "aws/requirements-ministack.txt",
    )
    .await
}

/// The environment of aws-sam-cli, awscli, boto3, cfn-lint and cargo-lambda.
pub async fn sam() -> Result<PathBuf> {
    environment("sam", "1.170.0", "about a minute", "aws/requirements-sam.txt").await
}

async fn environment(name: &'static str, version: &str, takes: &'static str, file: &str) -> Result<PathBuf> {
    let path = places::local(file);
    let requirements = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let python = find("python3").context(
        "python3 is not installed, and the local AWS runs on it. Install Python 3.11 or newer with its venv module \
         (Debian: apt-get install python3-venv)",
    )?;
    let recipe = Recipe::new(name, version, takes, &[&requirements]);
    let place = recipe.place()?;
    recipe
        .build(|folder| async move { install(&python, &folder, &place, &path).await })
        .await
}

async fn install(python: &Path, folder: &Path, place: &Path, requirements: &Path) -> Result<()> {
    let log = folder.join("build.log");
    let mut venv = program(python);
    step(
        "creating the virtual environment",
        venv.args(["-m", "venv"]).arg(folder),
        &log,
    )
    .await?;
    let mut pip = program(&folder.join("bin/python"));
    let pip = pip
        .args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--requirement",
        ])
        .arg(requirements);
    step("installing packages", pip, &log).await?;
    repoint(folder, place)
}

/// Scripts of a virtual environment name its path in their first line: they are told the path it is about to get.
fn repoint(folder: &Path, place: &Path) -> Result<()> {
    let (old, new) = (folder.display().to_string(), place.display().to_string());
    for entry in fs::read_dir(folder.join("bin"))? {
        let path = entry?.path();
        if path.is_symlink() || !path.is_file() {
            continue;
        }
        // Programs that are not text (cargo-lambda, ninja) name no path.
        if let Ok(text) = fs::read_to_string(&path)
            && text.contains(&old)
        {
            fs::write(&path, text.replace(&old, &new))
                .with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scripts_name_the_place_they_are_moved_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let script = folder.path().join("bin/sam");
        fs::write(&script, format!("#!{}/bin/python\n", folder.path().display())).unwrap();
        fs::write(folder.path().join("bin/program"), [0xff, 0xfe, 0x00]).unwrap();
        repoint(folder.path(), Path::new("/kept/sam")).unwrap();
        assert_eq!(fs::read_to_string(script).unwrap(), "#!/kept/sam/bin/python\n");
    }
}
