//! Text made comparable: case, diacritics, whitespace and the Turkish i, and finding words in it.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Lower case without diacritics, typographic quotes and runs of whitespace: what people type carelessly
/// compares equal. Lossy on purpose (`ı` is `i`), so use it where a false difference is the worse mistake.
pub(crate) fn fold(text: &str) -> String {
    folded(text, is_combining_mark)
}

/// The same without the marks that `dropped` tells, where not every mark may go: in Hindi or Thai they are vowels.
pub(crate) fn folded(text: &str, dropped: fn(char) -> bool) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !dropped(*c)).nfc() {
        match c {
            'ı' => folded.push('i'),
            'ß' | 'ẞ' => folded.push_str("ss"),
            'ł' | 'Ł' => folded.push('l'),
            'ø' | 'Ø' => folded.push('o'),
            'đ' | 'Đ' => folded.push('d'),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            '’' | '‘' | 'ʼ' | '`' => folded.push('\''),
            '“' | '”' | '„' | '«' | '»' => folded.push('"'),
            '‐'..='―' => folded.push('-'),
            c if c.is_whitespace() || c.is_control() => {
                if !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            c => folded.extend(c.to_lowercase().filter(|c| !dropped(*c))),
        }
    }
    folded.trim().to_owned()
}

/// Lower case as the language has it: in Turkish and Azerbaijani `I` is `ı` and `İ` is `i`.
pub(super) fn lower(text: &str, language: &str) -> String {
    let text = text.nfkc().map(|c| if matches!(c, '’' | 'ʼ') { '\'' } else { c });
    if matches!(language, "tr" | "az") {
        let dotted = text.map(|c| match c {
            'I' => 'ı',
            'İ' => 'i',
            c => c,
        });
        return dotted.flat_map(char::to_lowercase).collect();
    }
    // `İ` alone lowers to an i with a combining dot; elsewhere it is an i.
    text.map(|c| if c == 'İ' { 'i' } else { c }).flat_map(char::to_lowercase).collect()
}

/// The words of a text: runs of letters and digits.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether `phrase` stands in `text` as whole words. Both must be folded or lowered alike. Scripts that
/// write no spaces have no word ends to look for. `can` is not in `can't`.
pub(crate) fn says(text: &str, phrase: &str) -> bool {
    let (Some(first), Some(last)) = (phrase.chars().next(), phrase.chars().next_back()) else {
        return false;
    };
    text.match_indices(phrase).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + found.len()..];
        let opens = !joins(first) || before.is_none_or(|c| !c.is_alphanumeric());
        let negated = after.strip_prefix("'t").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        let closes = !joins(last) || after.chars().next().is_none_or(|c| !c.is_alphanumeric() && !negated);
        opens && closes
    })
}

/// Whether a letter belongs to a script that separates words.
fn joins(c: char) -> bool {
    c.is_alphanumeric()
        && !matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The first `letters` letters of a word, or the whole word.
pub(super) fn stem(word: &str, letters: usize) -> &str {
    word.char_indices().nth(letters).map_or(word, |(end, _)| &word[..end])
}

/// A text for a message: short enough, in quotes.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let text = text.trim();
    if text.chars().count() <= MOST {
        return format!("\"{text}\"");
    }
    let start: String = text.chars().take(MOST).collect();
    format!("\"{start}…\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_forgives_case_diacritics_and_the_dot_of_the_i() {
        assert_eq!(fold("  İSTANBUL\n’ta  Işık "), "istanbul 'ta isik");
        assert_eq!(fold("Łódź Straße ﬁn"), "lodz strasse fin");
        assert_eq!(fold("서울 54살"), "서울 54살");
    }

    #[test]
    fn a_phrase_is_found_as_whole_words_only() {
        assert!(says("well, actually, no", "actually"));
        assert!(!says("an actuality", "actual"));
        assert!(!says("i can't", "can"));
        assert!(says("l'amour", "amour"));
        assert!(says("私はコンテンツが嫌い", "コンテンツ"));
        assert!(!says("anything", ""));
    }

    #[test]
    fn the_turkish_i_keeps_its_dot_in_turkish_alone() {
        assert_eq!(lower("SINIR İZİN", "tr"), "sınır izin");
        assert_eq!(lower("SINIR", "en"), "sinir");
        assert_eq!(lower("İ", "de"), "i");
    }
}
