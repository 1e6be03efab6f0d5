//! Archives of charts: the same bytes each time, and nothing in them that helm would see otherwise.

use super::super::{ChartFile, Faults, chart, pack_chart};
use super::golden;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use tar::{Builder, EntryType, Header};

pub(super) const METADATA: &str = "apiVersion: v2\nname: api\nversion: 1.2.3\n";

pub(super) fn files(files: &[(&str, &str)]) -> BTreeMap<String, ChartFile> {
    let file = |(path, text): &(&str, &str)| {
        let content = text.as_bytes().to_vec();
        (
            (*path).to_owned(),
            ChartFile {
                executable: false,
                content,
            },
        )
    };
    files.iter().map(file).collect()
}

pub(super) fn archive(of: &[(&str, &str)]) -> Vec<u8> {
    pack_chart(&files(of)).unwrap()
}

fn told(archive: &[u8]) -> String {
    let (chart, faults) = chart::open("charts/api", archive);
    let chart = chart.map(|chart| format!("{} {} {}\n", chart.name, chart.version, chart.values));
    format!("{}{}", chart.unwrap_or_default(), Faults(faults))
}

/// An archive that no packer of ours makes.
fn odd(entries: &[(&str, EntryType)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, kind) in [("api/Chart.yaml", EntryType::Regular)].iter().chain(entries) {
        let mut header = Header::new_gnu();
        let content = if *path == "api/Chart.yaml" { METADATA } else { "" };
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(*kind);
        // past set_path, which refuses what is to be refused here
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn the_same_files_are_the_same_bytes_in_one_folder() {
    let long = format!("templates/{}/deployment.yaml", "x".repeat(150));
    let all = [
        ("Chart.yaml", METADATA),
        ("values.yaml", "a: 1\n"),
        (long.as_str(), "kind: X\n"),
    ];
    let first = archive(&all);
    let mut turned = all;
    turned.reverse();
    assert_eq!(archive(&turned), first);
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(first.as_slice()));
    let found: Vec<_> = tar
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let marks = (
                header.mode().unwrap(),
                header.mtime().unwrap(),
                header.uid().unwrap(),
            );
            assert_eq!(marks, (0o644, 0, 0));
            entry.path().unwrap().display().to_string()
        })
        .collect();
    let in_folder = ["Chart.yaml", long.as_str(), "values.yaml"].map(|path| format!("api/{path}"));
    assert_eq!(found, in_folder);
    assert_eq!(told(&first), "api 1.2.3 {\"a\":1}\n");
    let mut run = files(&all);
    run.get_mut("values.yaml").unwrap().executable = true;
    assert_ne!(pack_chart(&run).unwrap(), first, "helm keeps the mode");
}

#[test]
fn charts_that_helm_could_not_install() {
    let with = |more: &str| format!("{METADATA}{more}");
    let depends =
        "dependencies:\n- {name: redis, version: 1.x.x, repository: x}\n- {name: common, version: 1}\n";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no Chart.yaml", archive(&[("values.yaml", "")])),
        ("no YAML", archive(&[("Chart.yaml", "a: [")])),
        ("a list", archive(&[("Chart.yaml", "- a\n")])),
        ("nothing said", archive(&[("Chart.yaml", "description: x\n")])),
        (
            "nothing right",
            archive(&[(
                "Chart.yaml",
                "apiVersion: v3\nversion: latest\nname: a/b\ntype: plugin\n",
            )]),
        ),
        (
            "a version without quotes",
            archive(&[("Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.2\n")]),
        ),
        ("a library", archive(&[("Chart.yaml", &with("type: library\n"))])),
        (
            "dependencies that are not there",
            archive(&[("Chart.yaml", &with(depends))]),
        ),
        (
            "one of them is there",
            archive(&[
                ("Chart.yaml", &with(depends)),
                (
                    "charts/redis/Chart.yaml",
                    "apiVersion: v2\nname: redis\nversion: 1.0.0\n",
                ),
            ]),
        ),
        (
            "a broken chart in it",
            archive(&[
                ("Chart.yaml", METADATA),
                ("charts/redis/Chart.yaml", "name: redis\n"),
            ]),
        ),
        (
            "values that are a list",
            archive(&[("Chart.yaml", METADATA), ("values.yaml", "- 1\n")]),
        ),
        (
            "two documents",
            archive(&[("Chart.yaml", METADATA), ("values.yaml", "a: 1\n---\nb: 2\n")]),
        ),
        (
            "values of others",
            archive(&[
                ("Chart.yaml", METADATA),
                (
                    "charts/redis/Chart.yaml",
                    "apiVersion: v2\nname: redis\nversion: 1.0.0\n",
                ),
                ("charts/redis/values.yaml", "a: ["),
            ]),
        ),
    ];
    let said: Vec<_> = cases
        .iter()
        .map(|(name, archive)| format!("# {name}\n{}", told(archive)))
        .collect();
    golden("charts_that_helm_could_not_install", &said.join("\n\n"));
}

#[test]
fn archives_that_are_refused() {
    let regular = EntryType::Regular;
    let large = "x".repeat((5 << 20) + 1);
    let four = vec![0_u8; 4 << 20];
    let bomb: BTreeMap<String, ChartFile> = (0..5)
        .map(|n| {
            let content = four.clone();
            (
                format!("files/{n}"),
                ChartFile {
                    executable: false,
                    content,
                },
            )
        })
        .chain(files(&[("Chart.yaml", METADATA)]))
        .collect();
    let many: BTreeMap<String, ChartFile> = (0..5_001)
        .map(|n| {
            (
                format!("files/{n}"),
                ChartFile {
                    executable: false,
                    content: Vec::new(),
                },
            )
        })
        .collect();
    let mut short = odd(&[]);
    short.truncate(short.len() / 2);
    let noise: Vec<u8> = (0..(3_u32 << 20) + 1).map(|n| n.to_le_bytes()[0]).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no gzip", b"PK\x03\x04".to_vec()),
        ("nothing", Vec::new()),
        ("no tar", gzip(b"hello")),
        ("cut off", short),
        ("a link", odd(&[("api/templates/x", EntryType::Symlink)])),
        ("a hard link", odd(&[("api/templates/x", EntryType::Link)])),
        ("a device", odd(&[("api/x", EntryType::Char)])),
        ("absolute", odd(&[("/etc/passwd", regular)])),
        ("out of its folder", odd(&[("api/../../x", regular)])),
        ("of another system", odd(&[("api/a\\..\\x", regular)])),
        ("without a folder", odd(&[("x", regular)])),
        ("two folders", odd(&[("web/x", regular)])),
        ("twice", odd(&[("api/x", regular), ("api/x", regular)])),
        ("a control character", odd(&[("api/\u{1b}[2J", regular)])),
        (
            "a large file",
            archive(&[("Chart.yaml", METADATA), ("files/x", &large)]),
        ),
        ("large together", pack_chart(&bomb).unwrap()),
        ("many files", pack_chart(&many).unwrap()),
        ("a large archive", noise),
    ];
    let said: Vec<_> = cases
        .iter()
        .map(|(name, archive)| format!("# {name}\n{}", told(archive)))
        .collect();
    golden("archives_that_are_refused", &said.join("\n\n"));
}

/// Go reads members of a gzip as one stream: a file in a second one is seen by helm, and so it is here.
#[test]
fn what_is_in_a_second_member_is_seen() {
    let whole = {
        let mut bytes = Vec::new();
        let first = odd(&[("api/x", EntryType::Symlink)]);
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(first.as_slice()), &mut bytes).unwrap();
        bytes
    };
    let (one, two) = whole.split_at(1_024);
    let joined = [gzip(one), gzip(two)].concat();
    assert!(told(&joined).contains("no plain file"), "{}", told(&joined));
}

#[test]
fn folders_and_global_headers_are_passed_over() {
    let archive = odd(&[
        ("api/templates/", EntryType::Directory),
        ("pax_global_header", EntryType::XGlobalHeader),
    ]);
    assert_eq!(told(&archive), "api 1.2.3 {}\n");
}

/// As templates see them: a sub-chart's values below its name or alias, with the chart's own on top.
#[test]
fn values_of_charts_in_charts_are_below_their_names() {
    let packed = archive(&[
        ("Chart.yaml", "apiVersion: v2\nname: redis\nversion: 1.0.0\n"),
        ("values.yaml", "replica: {count: 3, tag: a}\n"),
    ]);
    let mut all = files(&[
        (
            "Chart.yaml",
            "apiVersion: v2\nname: api\nversion: 1.2.3\ndependencies:\n\
             - {name: redis, alias: cache, version: 1}\n- {name: redis, alias: queue, version: 1}\n- {name: lib, version: 1}\n",
        ),
        (
            "values.yaml",
            "cache: {replica: {count: 1}}\ncache: {replica: {count: 2}}\n",
        ),
        (
            "charts/lib/Chart.yaml",
            "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n",
        ),
        ("charts/README.md", "not a chart"),
        ("charts/_x/Chart.yaml", "not: read"),
    ]);
    all.insert(
        "charts/redis-1.0.0.tgz".to_owned(),
        ChartFile {
            executable: false,
            content: packed,
        },
    );
    assert_eq!(
        told(&pack_chart(&all).unwrap()),
        "api 1.2.3 {\"cache\":{\"replica\":{\"count\":2,\"tag\":\"a\"}},\"lib\":{},\
         \"queue\":{\"replica\":{\"count\":3,\"tag\":\"a\"}}}\n"
    );
}

/// An older chart lists what it needs in a file of its own.
#[test]
fn requirements_of_older_charts_are_read() {
    let told = told(&archive(&[
        ("Chart.yaml", "apiVersion: v1\nname: api\nversion: 1.2.3\n"),
        ("requirements.yaml", "dependencies: [{name: redis, version: 1}]\n"),
    ]));
    assert!(
        told.contains("\"redis\" is a dependency") && told.contains("helm dependency build"),
        "{told}"
    );
}

/// A chart in a chart in a chart, each packed, shares one limit and ends.
#[test]
fn charts_in_charts_end() {
    let mut inner = archive(&[("Chart.yaml", METADATA)]);
    for _ in 0..7 {
        let mut all = files(&[("Chart.yaml", METADATA)]);
        all.insert(
            "charts/api-1.2.3.tgz".to_owned(),
            ChartFile {
                executable: false,
                content: inner,
            },
        );
        inner = pack_chart(&all).unwrap();
    }
    assert!(
        told(&inner).contains("lies in more than 5 charts"),
        "{}",
        told(&inner)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn any_bytes_are_an_archive_or_refused(bytes: Vec<u8>, at in any::<prop::sample::Index>(), to: u8) {
        let _ = chart::open("charts/api", &bytes);
        let _ = chart::open("charts/api", &gzip(&bytes));
        let mut archive = archive(&[("Chart.yaml", METADATA), ("values.yaml", "a: 1\n")]);
        let at = at.index(archive.len());
        archive[at] = to;
        let _ = chart::open("charts/api", &archive);
    }

    #[test]
    fn what_is_packed_is_read_back(
        names in prop::collection::btree_set("[a-z]{1,8}(/[a-z]{1,60}){0,3}", 0..6), text in "[a-z: \n]{0,50}",
    ) {
        let mut all = files(&[("Chart.yaml", METADATA)]);
        // a path cannot be both a file and a folder
        for name in &names {
            all.insert(format!("files/{name}.txt"), ChartFile { executable: false, content: text.clone().into() });
        }
        let (chart, faults) = chart::open("charts/api", &pack_chart(&all).unwrap());
        prop_assert!(faults.is_empty() && chart.is_some(), "{:?}", faults);
    }
}
