//! Over Secrets that helm 4.3.1 and 3.17.3 wrote.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use k8s_openapi::api::core::v1::Secret;

const OF_HELM_4: [&str; 3] = [
    include_str!("golden/helm-4-v1.json"),
    include_str!("golden/helm-4-v2.json"),
    include_str!("golden/helm-4-v3.json"),
];
const OF_HELM_3: &str = include_str!("golden/helm-3-v2.json");

fn secret(text: &str) -> Secret {
    serde_json::from_str(text).unwrap()
}

fn record_of(secret: &Secret) -> Value {
    decode(&secret.data.as_ref().unwrap()["release"].0).unwrap()
}

fn read(text: &str) -> HelmRevision {
    let secret = secret(text);
    revision(&secret.metadata, &record_of(&secret)).unwrap()
}

#[test]
fn a_record_of_helm_4_is_read_whole() {
    insta::assert_debug_snapshot!(read(OF_HELM_4[1]));
}

#[test]
fn a_record_of_helm_3_is_read_whole() {
    insta::assert_debug_snapshot!(read(OF_HELM_3));
}

#[test]
fn heads_say_what_records_say_but_for_the_fence_of_one_that_goes_back() {
    let all: Vec<_> = OF_HELM_4
        .iter()
        .map(|text| (head(&secret(text).metadata).unwrap(), read(text)))
        .collect();
    for (head, whole) in &all {
        assert_eq!((head.revision, head.status), (whole.revision, whole.status));
    }
    let fences: Vec<_> = all
        .iter()
        .map(|(head, whole)| (head.fence, whole.fence))
        .collect();
    let [first, second, back] = [11, 12, 13].map(|fence| Some(Fence(fence)));
    assert_eq!(fences, [(first, first), (second, second), (None, back)]);
}

#[test]
fn one_that_went_back_has_its_fence_from_its_description_also_afterwards() {
    let secret = secret(OF_HELM_4[2]);
    let mut record = record_of(&secret);
    record["info"]["status"] = json!("deployed");
    let fence = |record: &Value| revision(&secret.metadata, record).unwrap().fence;
    assert_eq!(fence(&record), Some(Fence(13)));
    record["info"]["description"] = json!("Rollback to 1");
    assert_eq!(fence(&record), None, "somebody else went back to ours");
}

#[test]
fn a_record_survives_being_packed_again() {
    for text in OF_HELM_4.into_iter().chain([OF_HELM_3]) {
        let record = record_of(&secret(text));
        assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
    }
}

#[test]
fn only_status_and_description_change_in_one_that_is_failed() {
    let before = record_of(&secret(OF_HELM_4[2]));
    let mut after = failed(before.clone(), "its helm is gone").unwrap();
    assert_eq!(
        (
            after["info"]["status"].take(),
            after["info"]["description"].take()
        ),
        (json!("failed"), json!("its helm is gone"))
    );
    let mut before = before;
    before["info"]["status"].take();
    before["info"]["description"].take();
    assert_eq!(after, before);
    assert!(failed(json!({}), "x").is_err());
}

#[test]
fn a_record_of_before_gzip_is_read() {
    assert_eq!(
        decode(STANDARD.encode(r#"{"name":"x"}"#).as_bytes()).unwrap(),
        json!({"name": "x"})
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let zeros = {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&vec![b' '; 33 * 1024 * 1024]).unwrap();
        STANDARD.encode(packed.finish().unwrap()).into_bytes()
    };
    let cut = {
        let whole = STANDARD.decode(encode(&json!({"name": "x"})).unwrap()).unwrap();
        STANDARD.encode(&whole[..whole.len() - 9]).into_bytes()
    };
    for (data, part) in [
        (b"%%".to_vec(), "no base64"),
        (STANDARD.encode("nothing").into_bytes(), "no JSON"),
        (zeros, "more than 33554432 bytes"),
        (cut, "cannot be unzipped"),
    ] {
        let told = decode(&data).unwrap_err();
        assert!(told.contains(part), "{told} has no {part}");
    }
    let none = ObjectMeta::default();
    assert!(
        revision(&none, &json!({"name": "x"}))
            .unwrap_err()
            .contains("no revision")
    );
    assert!(head(&none).unwrap_err().contains("label `version`"));
}
