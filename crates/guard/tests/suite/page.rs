//! The configuration blocks of `docs/proxies`, so that the tests run what the pages show.

use std::path::Path;

/// Returns a fenced block of `docs/proxies/<page>.md`: the one at this index, from 0, among the
/// blocks of this language.
pub(crate) fn block(page: &str, language: &str, index: usize) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("docs/proxies").join(page).with_extension("md");
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blocks = blocks(&text, language);
    let count = blocks.len();
    let block = blocks.into_iter().nth(index);
    block.unwrap_or_else(|| panic!("{page}.md has {count} blocks of `{language}`"))
}

/// Returns a configuration with each text of the first column replaced by the second one. A text
/// that is missing is an error: the page has changed.
pub(crate) fn replace<T: ToString>(configuration: &str, texts: &[(&str, T)]) -> String {
    texts.iter().fold(configuration.to_owned(), |configuration, (from, to)| {
        assert!(configuration.contains(from), "no {from} in:\n{configuration}");
        configuration.replace(from, &to.to_string())
    })
}

fn blocks(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}");
    let mut lines = text.lines();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if line == start {
                blocks.push(block.join("\n") + "\n");
            }
        }
    }
    blocks
}

#[test]
fn finds_fenced_blocks_by_language() {
    let text = "# A\n```toml\na = 1\n```\ntext\n```nginx\nx;\n\ny;\n```\n```toml\nb = 2\n```\n";
    assert_eq!(blocks(text, "toml"), ["a = 1\n", "b = 2\n"]);
    assert_eq!(blocks(text, "nginx"), ["x;\n\ny;\n"]);
    assert!(blocks(text, "yaml").is_empty());
}
