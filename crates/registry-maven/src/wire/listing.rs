//! Folders as pages with links.

use std::fmt::Write as _;

use registry_core::http::{encode_path_segment, escape_html};

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Its name, of a folder with `/` at its end.
    pub(crate) name: String,
    /// When it was written.
    pub(crate) modified: Option<String>,
    /// How large it is.
    pub(crate) size: Option<u64>,
}

impl Entry {
    /// A folder.
    pub(crate) fn folder(name: &str) -> Self {
        Self { name: format!("{name}/"), modified: None, size: None }
    }
}

/// Renders a page. `path` is the folder's below the repository's URL (empty for the root), without slashes around it.
pub(crate) fn render(path: &str, entries: &[Entry]) -> String {
    let title = format!("Index of /{}", escape_html(path));
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<pre>\n"
    );
    if !path.is_empty() {
        page.push_str("<a href=\"../\">../</a>\n");
    }
    for Entry { name, modified, size } in entries {
        let (word, slash) = name.strip_suffix('/').map_or((name.as_str(), ""), |word| (word, "/"));
        let link = format!("{}{slash}", encode_path_segment(word));
        // Writing to a string cannot fail.
        let _ = write!(page, "<a href=\"{}\">{}</a>", escape_html(&link), escape_html(name));
        if let Some(modified) = modified {
            let _ = write!(page, "  {}", escape_html(modified));
        }
        if let Some(size) = size {
            let _ = write!(page, "  {size}");
        }
        page.push('\n');
    }
    page.push_str("</pre>\n</body>\n</html>\n");
    page
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checklist_32_links_are_relative_and_folders_end_in_a_slash() {
        let file = Entry {
            name: "lib-1.0+x.jar".to_owned(),
            modified: Some("2026-01-02 03:04".to_owned()),
            size: Some(7),
        };
        let page = render("com/acme", &[Entry::folder("1.0"), file]);
        assert!(page.contains("<a href=\"1.0/\">1.0/</a>\n"), "{page}");
        assert!(
            page.contains("<a href=\"lib-1.0+x.jar\">lib-1.0+x.jar</a>  2026-01-02 03:04  7\n"),
            "{page}"
        );
        assert!(page.contains("<a href=\"../\">"), "{page}");
        assert!(!render("", &[]).contains("../"));
    }

    proptest! {
        #[test]
        fn nothing_breaks_out(path in "\\PC{0,20}", name in "\\PC{0,20}") {
            let page = render(&path, &[Entry { name: name.clone(), modified: Some(name), size: None }]);
            let inner = page.split("<pre>").nth(1).unwrap();
            let tags = inner.matches('<').count();
            let want = 2 + if path.is_empty() { 0 } else { 2 } + 3;
            prop_assert_eq!(tags, want, "{}", page);
        }
    }
}
