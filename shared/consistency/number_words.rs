//! Numbers written as words, from 13 to 99, as digits: `fifty-four`, `elli dört`, `vierundfünfzig`.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use regex::{Captures, Regex};

const EN: ([&str; 9], [&str; 8]) = (
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
);
const EN_TEENS: [&str; 7] =
    ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TR: ([&str; 9], [&str; 8]) = (
    ["bir", "iki", "uc", "dort", "bes", "alti", "yedi", "sekiz", "dokuz"],
    ["yirmi", "otuz", "kirk", "elli", "altmis", "yetmis", "seksen", "doksan"],
);
const DE: ([&str; 9], [&str; 8]) = (
    ["ein", "zwei", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun"],
    ["zwanzig", "dreissig", "vierzig", "funfzig", "sechzig", "siebzig", "achtzig", "neunzig"],
);
const ES: ([&str; 9], [&str; 8]) = (
    ["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
    ["veinte", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"],
);
const FR_BELOW_20: [&str; 19] = [
    "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const FR_TENS: [(&str, usize); 5] =
    [("vingt", 20), ("trente", 30), ("quarante", 40), ("cinquante", 50), ("soixante", 60)];

/// The number words of one language with the pattern that finds them; folded, longest first.
struct Numbers {
    values: HashMap<String, usize>,
    pattern: Option<Regex>,
}

impl Numbers {
    /// `suffix` is a pattern of what may follow a number word and stays.
    fn of(values: HashMap<String, usize>, suffix: &str) -> Self {
        let mut names: Vec<&str> = values.keys().map(String::as_str).collect();
        names.sort_by_key(|name| (std::cmp::Reverse(name.len()), *name));
        let pattern = Regex::new(&format!(r"\b({})({suffix})", names.join("|"))).ok();
        Self { values, pattern }
    }

    fn replace<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(pattern) = &self.pattern else {
            return Cow::Borrowed(text);
        };
        pattern.replace_all(text, |found: &Captures<'_>| {
            let value = self.values.get(&found[1]).map_or_else(|| found[1].to_owned(), ToString::to_string);
            format!("{value}{}", &found[2])
        })
    }
}

/// Tens and ones joined by each of `joints`, and the tens alone.
fn tens_and_ones((ones, tens): ([&str; 9], [&str; 8]), joints: &[&str]) -> HashMap<String, usize> {
    let mut values = HashMap::new();
    for (t, ten) in tens.iter().enumerate() {
        let base = (t + 2) * 10;
        values.insert((*ten).to_owned(), base);
        for (o, one) in ones.iter().enumerate() {
            for joint in joints {
                values.insert(format!("{ten}{joint}{one}"), base + o + 1);
            }
        }
    }
    values
}

static ENGLISH: LazyLock<Numbers> = LazyLock::new(|| {
    let mut values = tens_and_ones(EN, &["-", " "]);
    values.extend(EN_TEENS.iter().enumerate().map(|(n, teen)| ((*teen).to_owned(), n + 13)));
    // `thirties`: the decade's own word, brought to the form `30s`.
    Numbers::of(values, r"\b")
});
static ENGLISH_DECADES: LazyLock<Numbers> = LazyLock::new(|| {
    let decade = |(t, ten): (usize, &&str)| (format!("{}ies", ten.trim_end_matches('y')), (t + 2) * 10);
    Numbers::of(EN.1.iter().enumerate().map(decade).collect(), r"\b")
});
static TURKISH: LazyLock<Numbers> =
    LazyLock::new(|| Numbers::of(tens_and_ones(TR, &[" ", ""]), r"\b|l[iu]\b|lar\w*|ler\w*"));
static GERMAN: LazyLock<Numbers> = LazyLock::new(|| {
    let (ones, tens) = DE;
    let mut values = HashMap::new();
    for (t, ten) in tens.iter().enumerate() {
        values.insert((*ten).to_owned(), (t + 2) * 10);
        for (o, one) in ones.iter().enumerate() {
            values.insert(format!("{one}und{ten}"), (t + 2) * 10 + o + 1);
        }
    }
    Numbers::of(values, r"\b|jahrig\w*")
});
static SPANISH: LazyLock<Numbers> = LazyLock::new(|| {
    let mut values = tens_and_ones(ES, &[" y "]);
    for (o, one) in ES.0.iter().enumerate() {
        values.insert(format!("veinti{one}"), 21 + o);
    }
    Numbers::of(values, r"\b")
});
static FRENCH: LazyLock<Numbers> = LazyLock::new(|| {
    let mut values = HashMap::new();
    for (ten, base) in FR_TENS {
        values.insert(ten.to_owned(), base);
        let last = if base == 60 { 19 } else { 9 };
        for (o, below) in FR_BELOW_20[..last].iter().enumerate() {
            values.insert(format!("{ten}-{below}"), base + o + 1);
            values.insert(format!("{ten} et {below}"), base + o + 1);
            values.insert(format!("{ten}-et-{below}"), base + o + 1);
        }
    }
    values.insert("quatre-vingts".to_owned(), 80);
    for (o, below) in FR_BELOW_20.iter().enumerate() {
        values.insert(format!("quatre-vingt-{below}"), 81 + o);
    }
    Numbers::of(values, r"\b")
});

/// A folded text whose number words are digits: English ones always, others in their own language. Digits of
/// other scripts become western ones.
pub(super) fn to_digits<'a>(folded: &'a str, language: Option<&str>) -> Cow<'a, str> {
    let western: Cow<'a, str> = if folded.is_ascii() {
        Cow::Borrowed(folded)
    } else {
        folded.chars().map(western_digit).collect::<String>().into()
    };
    let local = match language {
        Some("tr") => Some(&*TURKISH),
        Some("de") => Some(&*GERMAN),
        Some("es") => Some(&*SPANISH),
        Some("fr") => Some(&*FRENCH),
        _ => None,
    };
    let told = match local {
        Some(numbers) => numbers.replace(&western).into_owned(),
        None => western.into_owned(),
    };
    let told = ENGLISH.replace(&told).into_owned();
    let decades = &*ENGLISH_DECADES;
    let told = match &decades.pattern {
        Some(pattern) => pattern
            .replace_all(&told, |found: &Captures<'_>| {
                decades.values.get(&found[1]).map_or_else(String::new, |value| format!("{value}s"))
            })
            .into_owned(),
        None => told,
    };
    if told == folded { Cow::Borrowed(folded) } else { Cow::Owned(told) }
}

fn western_digit(c: char) -> char {
    let zero = match c {
        '\u{0660}'..='\u{0669}' => 0x0660,
        '\u{06f0}'..='\u{06f9}' => 0x06f0,
        '\u{0966}'..='\u{096f}' => 0x0966,
        _ => return c,
    };
    char::from(b'0' + (c as u32 - zero) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_words_become_digits() {
        for (text, language, digits) in [
            ("a fifty-four-year-old", "en", "a 54-year-old"),
            ("in her late thirties", "en", "in her late 30s"),
            ("elli dort yasinda", "tr", "54 yasinda"),
            ("ellili yaslarinda", "tr", "50li yaslarinda"),
            ("vierundfunfzig jahre", "de", "54 jahre"),
            ("vierunddreissigjahriger", "de", "34jahriger"),
            ("soixante-douze ans", "fr", "72 ans"),
            ("quatre-vingt-un ans", "fr", "81 ans"),
            ("cincuenta y cuatro anos", "es", "54 anos"),
            ("captain kirk", "en", "captain kirk"),
            ("٥٤", "ar", "54"),
        ] {
            assert_eq!(to_digits(text, Some(language)), digits);
        }
    }
}
