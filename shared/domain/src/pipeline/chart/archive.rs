//! A chart's archive: a gzipped tar with one folder on top, as `helm package` makes one. Made here, and read within
//! limits: it comes with a request, and helm will unpack it.

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use tar::{Archive, Builder, Entry, EntryType, Header};

/// The largest archive, in bytes: in base64 it is two thirds of what a request may have.
pub(crate) const LARGEST: usize = 3 << 20;
/// The most that all files of a chart may have, in bytes, those of packed sub-charts included.
pub(super) const LARGEST_UNPACKED: usize = 16 << 20;
/// Helm, `pkg/chart/loader/archive`: the largest file that it loads, 5 MiB.
const LARGEST_FILE: usize = 5 << 20;
/// The most files of an archive.
const MOST_FILES: usize = 5_000;
/// Headers and padding of the most files, in bytes: a bound for what is unpacked at all.
const OVERHEAD: usize = MOST_FILES * 4 * 512;

/// A file of a chart's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFile {
    /// Whether its owner may run it.
    pub executable: bool,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Packs a chart's files, by their path in its folder. The same files give the same bytes, whenever and wherever: they
/// are sorted, and neither times nor owners are kept.
///
/// # Errors
/// Where a path cannot be written into a tar.
pub fn pack_chart(files: &BTreeMap<String, ChartFile>) -> io::Result<Vec<u8>> {
    let top = top_folder(files);
    // 255: no operating system in particular (RFC 1952, "OS")
    let gzip = GzBuilder::new().mtime(0).operating_system(255);
    let mut tar = Builder::new(gzip.write(Vec::new(), Compression::best()));
    for (path, file) in files {
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(file.content.len()).map_err(io::Error::other)?);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, format!("{top}/{path}"), file.content.as_slice())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

/// The chart's name, as `helm package` names the folder. Where it has none, the check says so later.
fn top_folder(files: &BTreeMap<String, ChartFile>) -> String {
    let text = files
        .get("Chart.yaml")
        .and_then(|file| std::str::from_utf8(&file.content).ok());
    let name = text.and_then(super::name_of);
    name.unwrap_or_else(|| "chart".to_owned())
}

/// The files of an archive by their path below its top folder. `left` is how many bytes may still be unpacked.
///
/// The error is the rest of a sentence about the archive.
pub(super) fn unpack(archive: &[u8], left: &mut usize) -> Result<BTreeMap<String, Vec<u8>>, String> {
    // several members, as Go reads them: else helm could see files that are not seen here
    let most = left.saturating_add(OVERHEAD);
    let bounded = MultiGzDecoder::new(archive).take(u64::try_from(most).unwrap_or(u64::MAX));
    let mut tar = Archive::new(bounded);
    let mut files = BTreeMap::new();
    let mut top: Option<String> = None;
    let unreadable = |error: io::Error| format!("cannot be unpacked: {error}");
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        match entry.header().entry_type() {
            // Go's reader takes a global header in passing, and helm makes folders by itself
            EntryType::XGlobalHeader | EntryType::Directory => continue,
            EntryType::Regular => {}
            _ => return Err(format!("has `{}`, which is no plain file", shown(&entry))),
        }
        let (folder, path) = place(&entry)?;
        if *top.get_or_insert_with(|| folder.clone()) != folder {
            return Err(format!(
                "has two folders on top, of which one is `{}`",
                cut(&folder)
            ));
        }
        let content = content(&mut entry, &path, left)?;
        if files.insert(path.clone(), content).is_some() {
            return Err(format!("has `{}` twice", cut(&path)));
        }
        if files.len() > MOST_FILES {
            return Err(format!("has more than {MOST_FILES} files"));
        }
    }
    Ok(files)
}

fn content(entry: &mut Entry<'_, impl Read>, path: &str, left: &mut usize) -> Result<Vec<u8>, String> {
    let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
    if size > LARGEST_FILE {
        return Err(format!("has `{}` with more than {LARGEST_FILE} bytes", cut(path)));
    }
    *left = left.checked_sub(size).ok_or_else(|| {
        format!("has files of more than {LARGEST_UNPACKED} bytes, those of packed sub-charts included")
    })?;
    let mut content = Vec::new();
    let read = entry.read_to_end(&mut content);
    read.map_err(|error| format!("cannot be unpacked: {error}"))?;
    if content.len() == size {
        Ok(content)
    } else {
        Err("cannot be unpacked: it ends too early".to_owned())
    }
}

/// Top folder and path below it. Refuses what would leave the folder, or is another path to another reader.
fn place(entry: &Entry<'_, impl Read>) -> Result<(String, String), String> {
    let refused = || format!("has `{}`, which is no path below its folder", shown(entry));
    let bytes = entry.path_bytes();
    let path = std::str::from_utf8(&bytes).map_err(|_| refused())?;
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if path.split('/').any(odd) || path.contains(['\\', ':']) || path.chars().any(char::is_control) {
        return Err(refused());
    }
    let (top, rest) = path.split_once('/').ok_or_else(refused)?;
    Ok((top.to_owned(), rest.to_owned()))
}

fn shown(entry: &Entry<'_, impl Read>) -> String {
    cut(&String::from_utf8_lossy(&entry.path_bytes()))
}

fn cut(text: &str) -> String {
    super::super::text::printable(&super::super::text::cut(text))
}
