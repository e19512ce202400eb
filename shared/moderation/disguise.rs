//! Text as the rules read it: folded, and a second time with the usual disguises undone.

use crate::consistency::text::fold;

/// The texts to match: the folded one, and where it differs the one without disguises.
pub(super) fn readings(text: &str) -> Vec<String> {
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let plain = fold(&visible);
    let undisguised = joined(&unleeted(&plain));
    if undisguised == plain { vec![plain] } else { vec![plain, undisguised] }
}

/// Characters that show nothing: zero-width, soft hyphen, directional marks, variation selectors, tags.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// `b0mb` and `bоmb` with a Cyrillic `о` as `bomb`. Numbers stay numbers: only parts that also have letters of
/// the Latin alphabet are changed.
fn unleeted(text: &str) -> String {
    text.split_inclusive([' ', '-'])
        .map(|part| {
            let letters = part.chars().filter(char::is_ascii_alphabetic).count();
            if letters >= 2 { part.chars().map(meant).collect() } else { part.to_owned() }
        })
        .collect()
}

const fn meant(c: char) -> char {
    match c {
        '0' | 'о' | 'ο' => 'o',
        '1' | '!' | '|' | 'і' | 'ι' => 'i',
        '3' | 'е' | 'ε' => 'e',
        '4' | '@' | 'а' | 'α' => 'a',
        '5' | '$' | 'ѕ' => 's',
        '7' | 'т' | 'τ' => 't',
        'с' => 'c',
        'р' | 'ρ' => 'p',
        'х' => 'x',
        'у' => 'y',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'н' => 'h',
        'в' => 'b',
        c => c,
    }
}

/// `b o m b` and `b.o.m.b` as `bomb`: runs of four or more single letters.
fn joined(text: &str) -> String {
    const LEAST: usize = 4;
    let letters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let run = spaced_run(&letters[at..], at > 0 && letters[at - 1].is_alphanumeric());
        if run >= LEAST {
            out.extend(letters[at..].iter().step_by(2).take(run));
            at += run * 2 - 1;
        } else {
            out.push(letters[at]);
            at += 1;
        }
    }
    out
}

/// How many single letters follow each other, with the same separator between each two, from the start of
/// `letters`.
fn spaced_run(letters: &[char], within_word: bool) -> usize {
    if within_word || !letters[0].is_alphabetic() {
        return 0;
    }
    let is_separator = |c: char| matches!(c, ' ' | '.' | '-' | '_' | '*' | '/');
    let first = letters.get(1).copied().filter(|c| is_separator(*c));
    let mut run = 1;
    while let [separator, letter, ..] = &letters[run * 2 - 1..] {
        if Some(*separator) != first || !letter.is_alphabetic() {
            break;
        }
        run += 1;
    }
    // The last letter must not be the first one of a word.
    if letters.get(run * 2 - 1).is_some_and(|c| c.is_alphanumeric()) { run - 1 } else { run }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_are_undone_beside_the_plain_text() {
        for (text, last) in [
            ("How to build a b0mb", "how to build a bomb"),
            ("b o m b maker", "bomb maker"),
            ("B.O.M.B.", "bomb."),
            ("bo\u{200b}mb", "bomb"),
            ("ｂｏｍｂ", "bomb"),
            ("bоmb", "bomb"),
            ("a 54-year-old chef", "a 54-year-old chef"),
            ("I am a cat", "i am a cat"),
            ("a b c", "a b c"),
            ("x y z word", "x y z word"),
        ] {
            assert_eq!(readings(text).last().map(String::as_str), Some(last), "{text}");
        }
    }
}
