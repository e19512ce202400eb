//! Slugs: a persona's name in a URL. Lower-case ASCII letters, digits and single hyphens, 1 to 64 of them.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::id::PersonaId;

/// What a slug matches; the same text stands in the API's schema.
pub const PATTERN: &str = "^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$";

const LONGEST: usize = 64;

/// Whether a slug would hide behind a path of the API, such as `POST /v1/personas/import`.
pub fn is_reserved(text: &str) -> bool {
    text == "import"
}

/// Letters that no decomposition leads to ASCII: Latin ones, then Cyrillic and Greek as commonly romanised.
const LETTERS: &[(char, &str)] = &[
    ('ı', "i"),
    ('ß', "ss"),
    ('ø', "o"),
    ('ł', "l"),
    ('đ', "d"),
    ('ð', "d"),
    ('þ', "th"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('ħ', "h"),
    ('ŋ', "ng"),
    ('ə', "e"),
    ('ɓ', "b"),
    ('ɗ', "d"),
    ('ƙ', "k"),
    ('а', "a"),
    ('б', "b"),
    ('в', "v"),
    ('г', "g"),
    ('ґ', "g"),
    ('д', "d"),
    ('е', "e"),
    ('є', "ye"),
    ('ж', "zh"),
    ('з', "z"),
    ('и', "i"),
    ('і', "i"),
    ('к', "k"),
    ('л', "l"),
    ('м', "m"),
    ('н', "n"),
    ('о', "o"),
    ('п', "p"),
    ('р', "r"),
    ('с', "s"),
    ('т', "t"),
    ('у', "u"),
    ('ф', "f"),
    ('х', "kh"),
    ('ц', "ts"),
    ('ч', "ch"),
    ('ш', "sh"),
    ('щ', "shch"),
    ('ъ', ""),
    ('ы', "y"),
    ('ь', ""),
    ('э', "e"),
    ('ю', "yu"),
    ('я', "ya"),
    ('ђ', "dj"),
    ('ј', "j"),
    ('љ', "lj"),
    ('њ', "nj"),
    ('ћ', "c"),
    ('џ', "dz"),
    ('қ', "q"),
    ('ғ', "g"),
    ('ң', "ng"),
    ('ө', "o"),
    ('ү', "u"),
    ('ұ', "u"),
    ('һ', "h"),
    ('ә', "a"),
    ('α', "a"),
    ('β', "v"),
    ('γ', "g"),
    ('δ', "d"),
    ('ε', "e"),
    ('ζ', "z"),
    ('η', "i"),
    ('θ', "th"),
    ('ι', "i"),
    ('κ', "k"),
    ('λ', "l"),
    ('μ', "m"),
    ('ν', "n"),
    ('ξ', "x"),
    ('ο', "o"),
    ('π', "p"),
    ('ρ', "r"),
    ('σ', "s"),
    ('ς', "s"),
    ('τ', "t"),
    ('υ', "y"),
    ('φ', "f"),
    ('χ', "ch"),
    ('ψ', "ps"),
    ('ω', "o"),
];

/// Whether a caller's slug is one.
pub fn is_valid(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A slug from a persona's name. A name in a script that has no simple romanisation here (Han, Arabic and others)
/// gives `persona-` and the last six characters of the id.
pub fn slugify(name: &str, id: PersonaId) -> String {
    let mut slug = String::new();
    for c in name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        push_romanised(&mut slug, c);
    }
    let words: Vec<_> = slug.split('-').filter(|word| !word.is_empty()).collect();
    let slug = clipped(&words.join("-"), LONGEST);
    if slug.is_empty() { format!("persona-{}", tail(id)) } else { slug }
}

/// The slug with a number after it, for a name that is taken: `ada`, `ada-2`.
pub fn numbered(slug: &str, number: u32) -> String {
    let suffix = format!("-{number}");
    format!("{}{suffix}", clipped(slug, LONGEST - suffix.len()))
}

/// How many of a persona's namesakes get a number in their slug.
const NUMBERED: u32 = 3;

/// The slugs that a name may get, best first. The last has part of the id: it is unique without a search that grows with
/// the number of namesakes.
pub fn candidates(name: &str, id: PersonaId) -> Vec<String> {
    let base = slugify(name, id);
    let mut slugs = vec![base.clone()];
    slugs.extend((2..=NUMBERED).map(|number| numbered(&base, number)));
    slugs.push(format!("{}-{}", clipped(&base, 50), tail(id)));
    slugs.retain(|slug| !is_reserved(slug));
    slugs
}

/// Apostrophes join, any other sign parts.
fn push_romanised(slug: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        slug.push(c);
    } else if let Some((_, latin)) = LETTERS.iter().find(|(letter, _)| *letter == c) {
        slug.push_str(latin);
    } else if !matches!(c, '\'' | '’' | 'ʼ' | '`') && !is_combining_mark(c) {
        slug.push('-');
    }
}

fn clipped(slug: &str, most: usize) -> String {
    slug.get(..most.min(slug.len())).unwrap_or_default().trim_end_matches('-').to_owned()
}

/// The last characters of an id are its random ones.
fn tail(id: PersonaId) -> String {
    let text = id.to_string().to_lowercase();
    text.get(text.len().saturating_sub(6)..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_readable_slugs() {
        for (name, slug) in [
            ("Nermin Aksoy", "nermin-aksoy"),
            ("İsmail Şükrü Işık", "ismail-sukru-isik"),
            ("Siobhán O’Neill", "siobhan-oneill"),
            ("Nguyễn Thị Đào", "nguyen-thi-dao"),
            ("Фёдор Щукин", "fedor-shchukin"),
            ("Ελένη Παππά", "eleni-pappa"),
            ("  --Dr. X (the 2nd)!", "dr-x-the-2nd"),
            ("Łukasz Weiß", "lukasz-weiss"),
        ] {
            assert_eq!(slugify(name, PersonaId::new()), slug);
        }
    }

    #[test]
    fn a_name_that_leaves_nothing_takes_from_the_id() {
        let slug = slugify("山田 花子", PersonaId::new());
        assert!(is_valid(&slug) && slug.starts_with("persona-") && slug.len() == 14, "{slug}");
    }

    #[test]
    fn a_numbered_slug_stays_within_the_length() {
        assert_eq!(numbered("ada", 2), "ada-2");
        assert_eq!(numbered(&"a".repeat(64), 10).len(), 64);
    }

    #[test]
    fn a_slug_is_told_from_what_is_none() {
        assert!(is_valid("a") && is_valid("a-1"));
        for wrong in ["", "-a", "a-", "A", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_valid(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_name_gives_a_valid_slug(name: String, number: u32) {
            let slug = slugify(&name, PersonaId::new());
            prop_assert!(is_valid(&slug), "{}", slug);
            prop_assert!(is_valid(&numbered(&slug, number)));
            let by_pattern = serde_json::json!({"type": "string", "pattern": PATTERN});
            prop_assert!(crate::persona::schema::validate_with(&by_pattern, "", &slug.into()).is_empty());
        }
    }
}
