//! Sections of the documentation that are written by a run.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Replaces what stands between `<!-- NAME:begin … -->` and `<!-- NAME:end -->` in a file of the workspace.
pub(crate) fn replace_section(file: &str, name: &str, text: &str) -> Result<()> {
    let path = workspace::root().join(file);
    let old = fs::read_to_string(&path).with_context(|| format!("could not read {file}"))?;
    let new = replaced(&old, name, text).with_context(|| format!("in {file}"))?;
    fs::write(&path, new).with_context(|| format!("could not write {file}"))?;
    println!("{file}: the section `{name}` is up to date");
    Ok(())
}

fn replaced(old: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}:begin"), format!("<!-- {name}:end -->"));
    let Some((head, rest)) = old.split_once(&begin) else { bail!("there is no line `{begin}`") };
    let Some((mark, rest)) = rest.split_once('\n') else { bail!("the line `{begin}` ends the file") };
    let Some((_, tail)) = rest.split_once(&end) else { bail!("there is no line `{end}`") };
    Ok(format!("{head}{begin}{mark}\n\n{}\n\n{end}{tail}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_section_changes() {
        let old = "# A\n<!-- npm:begin (by a run) -->\nold\n<!-- npm:end -->\n<!-- oci:begin -->\nkeep\n<!-- oci:end -->\n";
        let new = replaced(old, "npm", "new\n").unwrap();
        assert!(new.contains("(by a run) -->\n\nnew\n\n<!-- npm:end -->") && new.contains("\nkeep\n"));
        assert_eq!(replaced(&new, "npm", "new").unwrap(), new);
        assert!(replaced(old, "gem", "x").is_err());
    }
}
