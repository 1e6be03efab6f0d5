#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::json;

fn pod(name: &str, version: &str) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": name, "resourceVersion": version}})).unwrap()
}

fn names(store: &Store<Pod>) -> Option<Vec<String>> {
    Some(
        store
            .all()?
            .map(|pod| format!("{}@{}", pod.name_any(), pod.resource_version().unwrap()))
            .collect(),
    )
}

#[test]
fn nothing_is_known_until_everything_is_listed() {
    let mut store = Store::default();
    assert_eq!(names(&store), None);
    store.take(Event::Init);
    store.take(Event::InitApply(pod("a", "1")));
    assert_eq!(names(&store), None);
    store.take(Event::InitDone);
    assert_eq!(names(&store), Some(vec!["a@1".to_owned()]));
}

#[test]
fn changes_are_followed_and_a_new_list_forgets_what_it_lacks() {
    let mut store = Store::default();
    store.take(Event::Init);
    store.take(Event::InitDone);
    store.take(Event::Apply(pod("a", "1")));
    store.take(Event::Apply(pod("a", "2")));
    store.take(Event::Apply(pod("b", "3")));
    assert_eq!(names(&store), Some(vec!["a@2".to_owned(), "b@3".to_owned()]));
    store.take(Event::Delete(pod("a", "2")));
    assert_eq!(names(&store), Some(vec!["b@3".to_owned()]));
    store.take(Event::Init);
    assert_eq!(names(&store), None, "while it is listed anew");
    store.take(Event::InitApply(pod("c", "9")));
    store.take(Event::InitDone);
    assert_eq!(names(&store), Some(vec!["c@9".to_owned()]));
}

#[test]
fn delays_grow_to_a_limit_and_start_anew() {
    let mut delays = Delays::default();
    let five: Vec<_> = delays.by_ref().take(7).map(|delay| delay.as_millis()).collect();
    assert_eq!(five, [100, 200, 400, 800, 1600, 3000, 3000]);
    assert_eq!(delays.by_ref().nth(1_000), Some(LONGEST_DELAY));
    delays.reset();
    assert_eq!(delays.next(), Some(FIRST_DELAY));
}

#[test]
fn a_watch_ends_before_the_client_loses_patience() {
    assert!(Duration::from_secs(ONE_WATCH_SECONDS.into()) < crate::connection::READ);
}
