//! The registry adapter against the local AWS's ECR.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod aws;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::ImageIdentifier;
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_domain::canonical::sha256_hex;
use sluice_domain::ids::{Digest, Repository};
use sluice_registry::{Registry, RegistryError};
use sluice_tests::alone::{cleaned, unique};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A repository of a test's own.
struct Place {
    client: Client,
    name: Repository,
}

async fn with_repository<Fut: Future<Output = ()>>(test: impl FnOnce(std::rc::Rc<Place>) -> Fut) {
    let client = Client::new(&aws::config().await);
    let name = Repository::parse(&unique("sluice-test/image")).unwrap();
    client
        .create_repository()
        .repository_name(name.as_str())
        .send()
        .await
        .unwrap();
    let place = std::rc::Rc::new(Place {
        client: client.clone(),
        name: name.clone(),
    });
    let cleanup = async {
        client
            .delete_repository()
            .repository_name(name.as_str())
            .force(true)
            .send()
            .await
            .unwrap();
    };
    cleaned(test(place), cleanup).await;
}

fn digest_of(bytes: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", sha256_hex(bytes.as_bytes()))).unwrap()
}

/// A manifest's bytes; the number makes it another image. Spelt with odd white space, which must be kept.
fn manifest(number: usize) -> String {
    let config = json!({"digest": digest_of(&format!("config {number}")), "size": 1});
    let annotations = json!({"org.opencontainers.image.revision": format!("{number:07x}")});
    let whole = json!({"schemaVersion": 2, "config": config, "layers": [], "annotations": annotations});
    format!("{}\n \n", serde_json::to_string_pretty(&whole).unwrap())
}

fn index(children: &[Digest]) -> String {
    let children: Vec<Value> = children
        .iter()
        .map(|digest| json!({"digest": digest, "size": 1}))
        .collect();
    json!({"schemaVersion": 2, "manifests": children}).to_string()
}

impl Place {
    async fn push(&self, bytes: &str, media_type: &str, tag: Option<&str>) -> Digest {
        let request = self
            .client
            .put_image()
            .repository_name(self.name.as_str())
            .image_manifest(bytes);
        let request = request
            .image_manifest_media_type(media_type)
            .set_image_tag(tag.map(str::to_owned));
        request.send().await.unwrap();
        digest_of(bytes)
    }

    async fn delete(&self, digest: &Digest) {
        let id = ImageIdentifier::builder().image_digest(digest.as_str()).build();
        let request = self
            .client
            .batch_delete_image()
            .repository_name(self.name.as_str());
        request.image_ids(id).send().await.unwrap();
    }

    fn registry(&self) -> Registry {
        Registry::new(self.client.clone())
    }
}

#[tokio::test]
async fn an_image_is_read_as_it_is_stored() {
    with_repository(async |place| {
        let digest = place.push(&manifest(1), MANIFEST, Some("0000001")).await;
        place.push(&manifest(1), MANIFEST, Some("latest")).await;
        let image = place
            .registry()
            .image(&place.name, &digest)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&image.repository, &image.digest), (&place.name, &digest));
        assert_eq!(
            (image.media_type.as_str(), image.children.as_slice()),
            (MANIFEST, [].as_slice())
        );
        assert_eq!(image.revision.as_deref(), Some("0000001"));
        let mut tags = image.tags.clone();
        tags.sort();
        assert_eq!(tags, ["0000001", "latest"]);
        let end = format!(".dkr.ecr.us-east-1.amazonaws.com/{}", place.name);
        let account = image.uri.strip_suffix(&end).unwrap();
        assert!(
            account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit()),
            "{}",
            image.uri
        );
        assert!(image.pushed_at <= Timestamp::now());
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_none_and_an_unknown_repository_is_an_error() {
    with_repository(async |place| {
        assert_eq!(
            place
                .registry()
                .image(&place.name, &digest_of("nothing"))
                .await
                .unwrap(),
            None
        );
        let unknown = Repository::parse("sluice-test/unknown").unwrap();
        for error in [
            place
                .registry()
                .image(&unknown, &digest_of("nothing"))
                .await
                .unwrap_err(),
            place
                .registry()
                .pushed_since(&unknown, Timestamp::UNIX_EPOCH)
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(error, RegistryError::NoRepository { .. }), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_index_is_complete_with_all_its_children() {
    with_repository(async |place| {
        for (media_type, numbers) in [(INDEX, 0..130), (LIST, 1000..1130)] {
            let mut children = Vec::new();
            // more than one batch of them
            for number in numbers {
                children.push(place.push(&manifest(number), MANIFEST, None).await);
            }
            let digest = place.push(&index(&children), media_type, Some("v1")).await;
            let image = place
                .registry()
                .image(&place.name, &digest)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(image.media_type, media_type);
            assert!(image.children == children, "{} children", image.children.len());
            place.delete(&children[120]).await;
            let error = place.registry().image(&place.name, &digest).await.unwrap_err();
            let RegistryError::ChildMissing {
                child,
                digest: parent,
                ..
            } = error
            else {
                panic!("{error:?}")
            };
            assert_eq!((child, parent), (children[120].clone(), digest));
        }
    })
    .await;
}

#[tokio::test]
async fn an_index_may_name_indexes_but_not_deeper() {
    with_repository(async |place| {
        let mut leaves = Vec::new();
        for number in 0..2 {
            leaves.push(place.push(&manifest(number), MANIFEST, None).await);
        }
        let inner = place.push(&index(&leaves), INDEX, None).await;
        let outer = place
            .push(&index(&[inner.clone(), leaves[0].clone()]), INDEX, None)
            .await;
        let image = place
            .registry()
            .image(&place.name, &outer)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            image.children,
            [inner.clone(), leaves[0].clone(), leaves[1].clone()]
        );
        let deeper = place.push(&index(&[outer]), INDEX, Some("deep")).await;
        let error = place.registry().image(&place.name, &deeper).await.unwrap_err();
        assert!(matches!(error, RegistryError::Malformed { .. }), "{error:?}");
        place.delete(&leaves[1]).await;
        let outer = place.push(&index(&[inner]), INDEX, None).await;
        let error = place.registry().image(&place.name, &outer).await.unwrap_err();
        assert!(matches!(error, RegistryError::ChildMissing { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_not_the_digests_are_refused() {
    with_repository(async |place| {
        let claimed = digest_of("another image");
        let request = place
            .client
            .put_image()
            .repository_name(place.name.as_str())
            .image_manifest(manifest(1));
        request
            .image_manifest_media_type(MANIFEST)
            .image_digest(claimed.as_str())
            .send()
            .await
            .unwrap();
        let error = place.registry().image(&place.name, &claimed).await.unwrap_err();
        let RegistryError::WrongContent { digest, found, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((digest, found), (claimed, digest_of(&manifest(1)).to_string()));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_image_is_named() {
    with_repository(async |place| {
        let digest = place
            .push(
                "{}",
                "application/vnd.docker.distribution.manifest.v1+json",
                Some("old"),
            )
            .await;
        let error = place.registry().image(&place.name, &digest).await.unwrap_err();
        assert!(error.to_string().contains("media type"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_listing_has_what_is_tagged_and_was_pushed_since() {
    with_repository(async |place| {
        let tagged = place.push(&manifest(1), MANIFEST, Some("v1")).await;
        place.push(&manifest(2), MANIFEST, None).await;
        let all = place
            .registry()
            .pushed_since(&place.name, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (&all[0].digest, all[0].tags.as_slice()),
            (&tagged, ["v1".to_owned()].as_slice())
        );
        let registry = place.registry();
        let since = registry
            .pushed_since(&place.name, all[0].pushed_at)
            .await
            .unwrap();
        assert_eq!(since, all, "the very instant counts");
        let millisecond = jiff::SignedDuration::from_millis(1);
        let later = all[0].pushed_at.checked_add(millisecond).unwrap();
        assert_eq!(registry.pushed_since(&place.name, later).await.unwrap(), []);
    })
    .await;
}
