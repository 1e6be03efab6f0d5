//! Tables and texts of a parsed TOML file, each with its place.

use super::text::{cut, printable, quote};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something is: a byte of the file, and the path of keys to it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub byte: usize,
    pub key: String,
}

/// A text of the file.
#[derive(Debug, Clone)]
pub(super) struct Text<'d> {
    pub text: &'d str,
    pub place: Place,
}

impl Text<'_> {
    /// As it is written in the file.
    pub(super) fn quoted(&self) -> Option<String> {
        Some(quote(self.text))
    }
}

/// A table of the file.
pub(super) struct Section<'d, 'i> {
    path: String,
    byte: usize,
    table: &'d DeTable<'i>,
}

impl<'d, 'i> Section<'d, 'i> {
    pub(super) fn root(table: &'d DeTable<'i>) -> Self {
        Self {
            path: String::new(),
            byte: 0,
            table,
        }
    }

    pub(super) fn at(path: String, byte: usize, table: &'d DeTable<'i>) -> Self {
        Self { path, byte, table }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            byte: self.byte,
            key: self.path.clone(),
        }
    }

    /// The place of a key of this table: of its value where there is one, else of the table.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let byte = self.table.get(key).map_or(self.byte, |value| value.span().start);
        Place {
            byte,
            key: self.key_path(key),
        }
    }

    /// The place of the table, as that of a key which it lacks.
    pub(super) fn place_below(&self, key: &str) -> Place {
        Place {
            byte: self.byte,
            key: self.key_path(key),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is there and is not an empty list.
    pub(super) fn lists(&self, key: &str) -> bool {
        self.value(key)
            .is_some_and(|value| value.as_array().is_none_or(|items| !items.is_empty()))
    }

    /// The table at a key, if it is one.
    pub(super) fn table(&self, key: &str) -> Option<Section<'d, 'i>> {
        let table = self.value(key)?.as_table()?;
        let Place { byte, key: path } = self.place_of(key);
        Some(Section { path, byte, table })
    }

    /// The text at a key, if it is one.
    pub(super) fn plain_text(&self, key: &str) -> Option<Text<'d>> {
        let text = self.value(key)?.as_str()?;
        Some(Text {
            text,
            place: self.place_of(key),
        })
    }

    /// How its header is written: without the names of the entries of lists.
    pub(super) fn header_of(&self, key: &str) -> String {
        let path = self.key_path(key);
        let parts = path
            .split('.')
            .map(|part| part.split('[').next().unwrap_or_default());
        parts.collect::<Vec<_>>().join(".")
    }

    pub(super) fn value(&self, key: &str) -> Option<&'d DeValue<'i>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    /// Its keys with their places.
    pub(super) fn names(&self) -> impl Iterator<Item = Text<'d>> {
        self.table.keys().map(|key| Text {
            text: key.get_ref(),
            place: Place {
                byte: key.span().start,
                key: self.key_path(key.get_ref()),
            },
        })
    }

    fn key_path(&self, key: &str) -> String {
        let key = printable(&cut(key));
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }
}
