//! Rule `codes`: every code that the product can give has a page in `docs/errors/`, and every page is about such a code.
//!
//! A code is found by how it is written: a literal of capitals and underscores. So whatever looks like one and is
//! something else has to be named here, and nothing that is one can be forgotten.

use std::collections::BTreeMap;

use super::Finding;
use crate::error_pages::{INDEX, index, pages};
use crate::repository::{File, Repository};

/// The rooms that codes come from.
const ROOMS: [&str; 5] = ["api/", "cli/", "engine/", "host/", "plugins/native/"];
/// Never shipped: what stands there reaches nobody.
const TESTING: &str = "host/testing/";
/// Single words in capitals are headings of tables there.
const HEADINGS: &str = "cli/";
/// Beginnings of the names of settings and of cargo's variables.
const VARIABLES: [&str; 4] = ["STATEFLOW_", "CARGO_", "XDG_", "OTEL_"];
/// What else is written like a code.
const OTHERS: [&str; 10] = [
    "DATABASE_URL",
    "ES256",
    "HS256",
    "OUT_DIR",
    "PG_VERSION",
    "RS256",
    "SCREAMING_SNAKE_CASE",
    "SFCWASM2",
    "UPPERCASE",
    "WORKER_CONCURRENCY",
];
/// Shorter words are methods, units and the like.
const SHORTEST: usize = 5;

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut given = codes(repository);
    let mut findings = Vec::new();
    for page in pages(repository) {
        match page {
            Ok(page) if given.remove(page.code).is_none() => {
                findings.push(Finding::new("codes", page.path, 1, "nothing gives this code"));
            }
            Ok(_) => {}
            Err((path, fault)) => findings.push(Finding::new("codes", path, 1, fault)),
        }
    }
    findings.extend(given.into_iter().map(|(code, (file, line))| {
        let message = format!(
            "`{code}` has no page docs/errors/{code}.md; if it is not an error code, name it in xtask/src/tidy/codes.rs"
        );
        Finding::new("codes", &file.path, line, message)
    }));
    if let Some(file) = repository.file(INDEX)
        && index(repository).map_or(true, |fresh| fresh != file.text)
    {
        let message = "is stale; `cargo run -p xtask -- errors` writes its tables";
        findings.push(Finding::new("codes", INDEX, 0, message));
    }
    findings
}

/// Every code with the first place that gives it.
fn codes(repository: &Repository) -> BTreeMap<&str, (&File, usize)> {
    let mut codes = BTreeMap::new();
    let shipped = repository.rust().filter(|file| {
        ROOMS.iter().any(|room| file.path.starts_with(room))
            && !file.path.starts_with(TESTING)
            && !file.is_test()
    });
    for file in shipped {
        for (number, line) in file.production() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in capitals(line).filter(|word| is_code(&file.path, word)) {
                codes.entry(word).or_insert((file, number));
            }
        }
    }
    codes
}

/// The literals of a line that have nothing but capitals, digits and underscores in them.
fn capitals(line: &str) -> impl Iterator<Item = &str> {
    let is_capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    // What stands between two literals has more than that in it: which quote opens and which one closes does not matter.
    line.split('"').skip(1).filter(move |word| {
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(is_capital)
    })
}

fn is_code(path: &str, word: &str) -> bool {
    word.len() >= SHORTEST
        && !OTHERS.contains(&word)
        && !VARIABLES.iter().any(|start| word.starts_with(start))
        && (word.contains('_') || !path.starts_with(HEADINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: (&str, &str) = ("docs/errors/A_CODE.md", "# A_CODE\n\n**failure**\n\nIt broke.\n");
    const INDEXED: (&str, &str) = (
        INDEX,
        "<!-- codes: failure -->\n\n| code | note | what happened |\n|---|---|---|\n| [`A_CODE`](A_CODE.md) |  | It broke. |\n",
    );

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_code_and_its_page_belong_together() {
        let given = ("api/src/a.rs", "//! a\nfn a() { refuse(\"A_CODE\", \"words\") }\n");
        assert_eq!(found(&[given, PAGE, INDEXED]), [""; 0]);
        assert!(found(&[given])[0].starts_with("api/src/a.rs:2: `A_CODE` has no page"));
        assert!(found(&[PAGE])[0].contains("nothing gives this code"));
    }

    #[test]
    fn a_stale_index_is_found() {
        let given = ("engine/src/a.rs", "//! a\nconst A: &str = \"A_CODE\";\n");
        let stale = (INDEX, "<!-- codes: failure -->\n");
        assert!(found(&[given, PAGE, stale])[0].contains("is stale"));
    }

    #[test]
    fn what_only_looks_like_a_code_is_left_alone() {
        let others = "//! \"A_CODE\"\n// \"A_CODE\"\nconst A: [&str; 4] = [\"PUT\", \"STATEFLOW_URL\", \"A_code\", \"A CODE\"];\n\n#[cfg(test)]\nmod tests {\n\"A_CODE\"\n}\n";
        assert_eq!(found(&[("host/worker/src/a.rs", others)]), [""; 0]);
        assert_eq!(found(&[("cli/src/a.rs", "const A: &str = \"HEADING\";")]), [""; 0]);
        assert_eq!(found(&[("engine/src/a.rs", "const A: &str = \"SYNTAX\";")]).len(), 1);
        for elsewhere in ["engine/tests/it/a.rs", "host/testing/src/a.rs", "bench/src/a.rs"] {
            assert_eq!(found(&[(elsewhere, "const A: &str = \"A_CODE\";")]), [""; 0]);
        }
    }
}
