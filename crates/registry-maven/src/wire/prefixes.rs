//! `.meta/prefixes.txt`: which groups are here.

use std::collections::BTreeSet;

/// So many folders of a group make a prefix.
const DEPTH: usize = 2;

/// Renders the file for these groups (`com.acme.tools`); `None` where there are none, since clients take an empty list for a repository that
/// holds nothing.
pub(crate) fn render<'g>(groups: impl IntoIterator<Item = &'g str>) -> Option<String> {
    let prefixes: BTreeSet<String> =
        groups.into_iter().map(|group| group.split('.').take(DEPTH).collect::<Vec<_>>().join("/")).collect();
    if prefixes.is_empty() {
        return None;
    }
    let mut text = "## repository-prefixes/2.0\n#\n# Groups that this repository has.\n#\n".to_owned();
    for prefix in prefixes {
        text.push('/');
        text.push_str(&prefix);
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_22_groups_become_prefixes_of_two_folders() {
        let text = render(["com.acme.b", "org", "com.acme.a", "com.other"]).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("## repository-prefixes/2.0"));
        let prefixes: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
        assert_eq!(prefixes, ["/com/acme", "/com/other", "/org"]);
        assert_eq!(render([]), None);
    }
}
