//! A text that a regular expression matches: how the sandbox fills a field that has a pattern.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest text that is tried.
const LONGEST: usize = 4_000;

/// A text that the pattern matches, of at least `least` characters where the pattern can be so long. `None` where the
/// pattern is none of this syntax.
pub(super) fn matching(pattern: &str, least: usize) -> Option<String> {
    let pattern = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    for more in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] {
        text.clear();
        write(&pattern, more, &mut text);
        if text.chars().count() >= least {
            break;
        }
    }
    Some(text)
}

/// Writes a match in which everything that may be repeated is repeated `more` times beyond its least.
fn write(pattern: &Hir, more: u32, text: &mut String) {
    if text.len() > LONGEST {
        return;
    }
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(one_of(class)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            for _ in 0..repetition.min.saturating_add(more).min(most).min(LONGEST as u32) {
                write(&repetition.sub, 0, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, more, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, more, text)),
        HirKind::Alternation(parts) => parts.iter().take(1).for_each(|part| write(part, more, text)),
    }
}

/// A plain character where the class has one.
fn one_of(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let has = |c: &char| class.iter().any(|range| range.start() <= *c && *c <= range.end());
    let plain = ['a', 'e', 'A', '1', '0', '-', ' '].into_iter().find(has);
    plain.or_else(|| class.iter().map(regex_syntax::hir::ClassUnicodeRange::start).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_matches() {
        for (pattern, least) in [
            ("^[A-Z][a-z]{2,8}$", 0),
            ("^#[0-9a-f]{6}$", 0),
            ("^(red|green)-\\d+$", 12),
            ("x", 0),
            ("^[^a-z]+$", 5),
            ("^\\p{L}{3}$", 0),
            ("^v?\\d+\\.\\d+$", 0),
        ] {
            let text = matching(pattern, least).unwrap_or_default();
            let matches = regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(&text));
            assert!(matches && text.chars().count() >= least, "{pattern}: {text}");
        }
        assert_eq!(matching("(", 0), None);
    }
}
