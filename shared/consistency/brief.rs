//! Facts read straight from a brief by rules: ages in ten languages, pronouns, names, places, English
//! occupations. A second source beside the model, and the one that is believed. What is not sure is left open.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

use super::{
    facts::{Age, Facts},
    number_words,
    text::{fold, words},
};

/// The facts that the rules can read from an intent.
pub fn facts_from_brief(intent: &str) -> Facts {
    let folded = fold(intent);
    let language = language_of(&folded);
    let residence = place(intent, language);
    Facts {
        name: name(intent),
        age: age(&with_digits(&folded, language)),
        pronouns: pronouns(&folded, language).map(str::to_owned),
        occupation: if language == Some("en") { occupation(intent) } else { None },
        residence,
        culture: None,
        language: language.map(str::to_owned),
        other_time: OTHER_TIME.is_match(&folded),
    }
}

#[expect(clippy::panic, reason = "patterns of this file; the tests compile each of them")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("a pattern does not compile: {error}"))
}

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| regex($pattern));)*
    };
}

// ---- the brief's language

/// Small words that tell a language, folded.
const TELLING: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "a", "an", "the", "who", "from", "and", "with", "of", "is", "loves", "for", "old", "his", "her",
            "she",
        ],
    ),
    (
        "tr",
        &[
            "bir",
            "ve",
            "yasinda",
            "yasindaki",
            "icin",
            "olan",
            "cok",
            "ama",
            "seven",
            "yasayan",
            "emekli",
            "adinda",
        ],
    ),
    (
        "de",
        &["ein", "eine", "der", "die", "das", "und", "aus", "mit", "ist", "alt", "liebt", "sie", "im", "von"],
    ),
    ("fr", &["un", "une", "le", "la", "et", "de", "qui", "ans", "dans", "est", "aime", "du", "des", "les"]),
    ("es", &["un", "una", "el", "la", "y", "de", "que", "anos", "en", "es", "ama", "con", "los", "del"]),
    ("it", &["un", "una", "il", "che", "di", "e", "anni", "ama", "con", "vive", "della", "ha", "una"]),
    ("pt", &["um", "uma", "o", "que", "de", "e", "anos", "em", "ama", "com", "vive", "do", "da"]),
    ("nl", &["een", "de", "het", "van", "die", "uit", "met", "en", "jaar", "houdt"]),
];

fn language_of(folded: &str) -> Option<&'static str> {
    let score = |telling: &[&str]| words(folded).filter(|word| telling.contains(word)).count();
    let mut scores: Vec<_> = TELLING.iter().map(|(language, telling)| (score(telling), *language)).collect();
    scores.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    (scores[0].0 > scores[1].0).then_some(scores[0].1)
}

// ---- ages

/// A folded text with western digits, number words from 13 to 99 as digits, and `fifties` as `50s`.
pub(super) fn with_digits<'a>(folded: &'a str, language: Option<&str>) -> Cow<'a, str> {
    number_words::to_digits(folded, language)
}

patterns! {
    // The number is the group `n`.
    YEARS_OLD = r"\b(?<n>\d{1,3})[ -]*(?:years?|yrs?)[ -]*(?:old|of age|young)\b|\b(?<m>\d{1,3})[ -]?(?:yo\b|y/o\b|y\.o\.)";
    AGED = r"\b(?:aged?|age of|age is|yasi|alter|alteur|edad|eta)\b:? *(?:de )?(?<n>\d{1,3})\b";
    // tr, de, nl, ru, ja, zh, ko, ar
    ELSEWHERE = concat!(
        r"\b(?<n>\d{1,3})(?: ?yas(?:inda|indaki|inda bir)\b| jahre alte?[rnsm]?\b|[ -]?jahrige?[rnsm]?\b|[ -]jarige?\b| jaar oud\b",
        r"| ?-?летн\w*| лет\b *(?:,|$)|enne\b| ?[歳才岁歲살세])",
        r"|(?:عمره|عمرها|يبلغ|تبلغ)[^0-9]{0,16}(?<m>\d{1,3})",
    );
    ROMANCE = r"(?:^|[,(] ?|\b(?:de|di|tiene|tem|con|com|ayant|a|ha|cumplio|agee?) )(?<n>\d{1,3}) (?:ans|anos|anni)\b";
    APART = r"\p{L}[)']?(?:, ?| ?\()(?<n>\d{1,3})(?:[,).;]|$)";
    IS_SO_OLD = r"\b(?:is|am|i'm|she's|he's|they're|turned|turning) (?<n>\d{1,3})(?:[,.;)]|$| and\b| but\b)";
    APPROXIMATELY = r"\b(?:unos|unas|alrededor de|aproximadamente|environ|etwa|yaklasik) (?<n>\d{2}) (?:anos|ans|jahre alte?[rnsm]?|yas\w*)";
    DECADE = r"(?<the>\bthe )?(?:\b(?<whose>his|her|their|my|your|its) )?(?:\b(?<part>early|mid|middle|late)[ -])?\b(?<n>[2-9]0)'?s\b";
    DECADE_TR = r"\b(?<n>[2-9]0)'?(?:(?:li|lu|larin|lerin)\w* (?:(?<part>basinda|ortasinda|sonunda)\w*)?(?:yas\w*)?|larinda\w*|lerinde\w*)";
    DECADE_DE = r"\b(?<part>anfang|mitte|ende) (?<n>[2-9]0)\b";
    DECADE_FR = r"\bla (?<word>vingt|trent|quarant|cinquant|soixant)aine\b";
    DECADE_ES = r"\b(?:en|a) sus (?<n>[2-9]0)\b(?: y tantos)?(?: anos)?";
    AGES_IN_A_WORD = r"\b(?<word>sexa|septua|octo|nona)genarian\b|\b(?<cent>centenarian)\b";
    TEENAGE = r"^(?:an?|the) (?:\w+ ){0,2}(?:teenage|teenaged|teenager|teen)\b";
}

/// What may stand just before an age that belongs to someone else, or that is a span of time.
const NOT_THEIRS: [&str; 45] = [
    "of",
    "with",
    "raising",
    "his",
    "her",
    "their",
    "my",
    "our",
    "to",
    "for",
    "and",
    "lost",
    "saved",
    "teaching",
    "teaches",
    "whose",
    "adopted",
    "since",
    "by",
    "until",
    "over",
    "depuis",
    "pendant",
    "apres",
    "hace",
    "durante",
    "desde",
    "tras",
    "seit",
    "vor",
    "nach",
    "per",
    "dopo",
    "experience",
    "experiencia",
    "carriere",
    "carrera",
    "trayectoria",
    "mariage",
    "matrimonio",
    "esperienza",
    "carriera",
    "mother",
    "father",
    "mere",
];
/// What may stand just before `at 12` and the like: a moment of a life, not its present.
const MOMENTS: [&str; 6] = ["at", "from", "since", "until", "by", "the"];
const ARTICLES: [&str; 12] =
    ["a", "an", "the", "un", "une", "una", "ein", "eine", "einer", "einen", "bir", "een"];

fn age(text: &str) -> Option<Age> {
    let exact = [&YEARS_OLD, &ELSEWHERE, &ROMANCE, &APART, &IS_SO_OLD]
        .into_iter()
        .flat_map(|pattern| pattern.captures_iter(text))
        .filter(|found| !belongs_elsewhere(text, found))
        .chain(AGED.captures_iter(text).filter(|found| !is_a_moment(text, found)))
        .filter_map(|found| {
            let number = found.name("n").or_else(|| found.name("m"))?;
            let age = number.as_str().parse().ok().filter(|age| *age <= 150)?;
            Some((number.start(), Age::Exact(age)))
        })
        .min_by_key(|(at, _)| *at);
    let spans = [decade(text), about(text), in_a_word(text)].into_iter().flatten();
    let span = spans.min_by_key(|(at, _)| *at);
    match (exact, span) {
        (Some((exact_at, exact)), Some((span_at, span))) => {
            Some(if exact_at <= span_at || !matches!(exact, Age::Exact(_)) { exact } else { span })
        }
        (exact, span) => exact.or(span).map(|(_, age)| age),
    }
}

/// `a mother of a 12-year-old`, `for 30 years`: not the persona's own age.
fn belongs_elsewhere(text: &str, found: &Captures<'_>) -> bool {
    let number = found.name("n").or_else(|| found.name("m"));
    let before = &text[..number.map_or(0, |n| n.start())];
    if before.trim_end().ends_with(['.', ';', ':', ',', '(']) {
        return false;
    }
    let mut last = words(before).rev_two();
    let article = last.next().filter(|word| ARTICLES.contains(word));
    // In `de 54 ans` the preposition is the pattern's own; what stands before it decides.
    let own = || found.get(0).is_some_and(|all| all.start() < number.map_or(0, |n| n.start()));
    let word = match article {
        Some(_) => last.next(),
        None => words(before).rev_two().next(),
    };
    let word = if article.is_none() && own() { words(before).rev_two().nth(1) } else { word };
    let after_kin = ["kizi", "kiziyla", "oglu", "ogluyla", "cocugu", "torunu", "torunuyla", "kardesi"];
    let next = words(&text[found.get(0).map_or(0, |all| all.end())..]).next();
    let and_a = word == Some("and") && article.is_none();
    word.is_some_and(|word| NOT_THEIRS.contains(&word) && !and_a)
        || next.is_some_and(|next| after_kin.contains(&next))
}

/// `at age 12 she ran away`.
fn is_a_moment(text: &str, found: &Captures<'_>) -> bool {
    let before = &text[..found.get(0).map_or(0, |all| all.start())];
    words(before).rev_two().next().is_some_and(|word| MOMENTS.contains(&word))
}

/// The last words of a text, last first.
trait LastWords<'a> {
    fn rev_two(self) -> std::vec::IntoIter<&'a str>;
}

impl<'a, I: Iterator<Item = &'a str>> LastWords<'a> for I {
    fn rev_two(self) -> std::vec::IntoIter<&'a str> {
        let mut last: Vec<&str> = Vec::new();
        for word in self {
            last.insert(0, word);
            last.truncate(3);
        }
        last.into_iter()
    }
}

fn decade(text: &str) -> Option<(usize, Age)> {
    let english = DECADE.captures_iter(text).find(|found| {
        found.name("whose").is_some() || (found.name("part").is_some() && found.name("the").is_none())
    });
    let found = english
        .or_else(|| DECADE_TR.captures(text))
        .or_else(|| DECADE_DE.captures(text))
        .or_else(|| DECADE_ES.captures(text));
    if let Some(found) = found {
        let number = found.name("n")?;
        let start: u16 = number.as_str().parse().ok()?;
        return Some((number.start(), within_decade(start, found.name("part").map(|part| part.as_str()))));
    }
    let found = DECADE_FR.captures(text)?;
    let word = found.name("word")?;
    let start = match word.as_str() {
        "vingt" => 20,
        "trent" => 30,
        "quarant" => 40,
        "cinquant" => 50,
        _ => 60,
    };
    Some((word.start(), within_decade(start, None)))
}

fn within_decade(start: u16, part: Option<&str>) -> Age {
    let (from, to) = match part {
        Some("early" | "anfang" | "basinda") => (0, 3),
        Some("mid" | "middle" | "mitte" | "ortasinda") => (3, 7),
        Some("late" | "ende" | "sonunda") => (6, 9),
        _ => (0, 9),
    };
    Age::Between { min: start + from, max: start + to }
}

fn about(text: &str) -> Option<(usize, Age)> {
    let number = APPROXIMATELY.captures(text)?.name("n")?;
    let age: u16 = number.as_str().parse().ok()?;
    Some((number.start(), Age::Between { min: age.saturating_sub(4), max: age + 4 }))
}

fn in_a_word(text: &str) -> Option<(usize, Age)> {
    if TEENAGE.is_match(text) {
        return Some((0, Age::Between { min: 13, max: 19 }));
    }
    let found = AGES_IN_A_WORD.captures(text)?;
    let at = found.get(0)?.start();
    let min = match found.name("word").map(|word| word.as_str()) {
        Some("sexa") => 60,
        Some("septua") => 70,
        Some("octo") => 80,
        Some(_) => 90,
        None => return Some((at, Age::Between { min: 100, max: 119 })),
    };
    Some((at, Age::Between { min, max: min + 9 }))
}

// ---- another time

patterns! {
    OTHER_TIME = concat!(
        r"\b(?:1\d{3}|20[3-9]\d|2[1-9]\d\d)s?\b|\b\d{1,2}(?:st|nd|rd|th)[ -]century\b|\bthe (?:roaring )?'?(?:[2-9]0s|twenties|thirties|forties|fifties|sixties|seventies)\b",
        r"|\b(?:medieval|middle ages|victorian|edwardian|georgian era|renaissance|ottoman|byzantine|roman (?:empire|legion\w*|senator|soldier|gladiator)|gladiator",
        r"|ancient|antiquity|viking|samurai|ronin|pharaoh|wild west|regency|tudor|napoleonic|civil war|world war|wwi+|cold war|prohibition",
        r"|future|futuristic|cyberpunk|space|spaceship|starship|galaxy|galactic|mars|post-apocaly\w+|dystopia\w*|time travel\w*",
        r"|vampire|immortal|elf|elven|dwarf|wizard|witch|sorcer\w+|dragon|knight|fantasy|alien|android|robot|ghost|demon|god|goddess|mytholog\w+",
        r"|mittelalter\w*|moyen age|edad media|orta ?cag|osmanli|siecle|siglo|jahrhundert\w*|yuzyil\w*|secolo|vampir\w*|fantastik)\b",
    );
}

// ---- pronouns

const SHE: &[&str] = &[
    "woman",
    "mother",
    "mom",
    "girl",
    "lady",
    "widow",
    "grandmother",
    "grandma",
    "queen",
    "princess",
    "actress",
    "businesswoman",
    "waitress",
    "nun",
    "housewife",
    "matriarch",
    "schoolgirl",
    "heiress",
    "duchess",
    "goddess",
    "priestess",
    "wife",
    "kadin",
    "kiz",
    "nine",
    "teyze",
    "hanim",
    "anne",
    "frau",
    "mutter",
    "witwe",
    "oma",
    "femme",
    "mere",
    "veuve",
    "fille",
    "mujer",
    "madre",
    "viuda",
    "abuela",
    "chica",
    "nina",
    "senora",
    "donna",
    "ragazza",
    "vedova",
    "nonna",
    "mulher",
    "mae",
    "avo",
    "viuva",
    "женщина",
    "девушка",
    "бабушка",
    "امراة",
];
const HE: &[&str] = &[
    "man",
    "father",
    "dad",
    "boy",
    "gentleman",
    "widower",
    "grandfather",
    "grandpa",
    "king",
    "prince",
    "actor's",
    "businessman",
    "waiter",
    "monk",
    "patriarch",
    "schoolboy",
    "heir's",
    "duke",
    "husband",
    "adam",
    "erkek",
    "baba",
    "dede",
    "mann",
    "vater",
    "witwer",
    "opa",
    "homme",
    "pere",
    "veuf",
    "garcon",
    "hombre",
    "padre",
    "viudo",
    "abuelo",
    "chico",
    "nino",
    "senor",
    "uomo",
    "ragazzo",
    "vedovo",
    "nonno",
    "homem",
    "pai",
    "viuvo",
    "мужчина",
    "парень",
    "дедушка",
    "رجل",
];
const SHE_WORDS: &[&str] = &["she", "her", "hers", "herself", "elle", "ella", "ela", "lei", "она"];
const HE_WORDS: &[&str] = &["he", "his", "him", "himself", "lui", "ele", "он"];

patterns! {
    NEITHER = r"\bnon-? ?binary\b|\bnonbinary\b|\bgenderqueer\b|\bgenderfluid\b|\bagender\b|\benby\b|\bthey/them\b";
    HEAD_END = r", | who | whose | that | which | with | haunted by | and (?:his|her) |[.;:!?(]";
    FEMININE = r"\b\w{3,}(?:erin|istin|arztin|ogin|antin|entin|torin|eurin)\b";
    FEMININE_ES = r"\b\w{3,}(?:adora|edora|idora|fesora|octora|ritora|intora)\b";
}

fn pronouns(folded: &str, language: Option<&str>) -> Option<&'static str> {
    if NEITHER.is_match(folded) {
        return Some("they/them");
    }
    let head = HEAD_END.find(folded).map_or(folded, |end| &folded[..end.start()]);
    // A gentle order: the head's noun says who this is; pronouns only when all agree.
    let noun = words(head).take(14).find_map(|word| told(word, SHE, HE));
    let ending = match language {
        Some("de") if FEMININE.is_match(head) => Some("she/her"),
        Some("es") if FEMININE_ES.is_match(head) => Some("she/her"),
        _ => None,
    };
    noun.or(ending).or_else(|| {
        if language.is_some_and(|language| language == "fr") && !folded.contains("elle ") {
            return None; // `lui` is both.
        }
        let mut all = words(folded).filter_map(|word| told(word, SHE_WORDS, HE_WORDS));
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    })
}

fn told(word: &str, she: &[&str], he: &[&str]) -> Option<&'static str> {
    if she.contains(&word) {
        return Some("she/her");
    }
    he.contains(&word).then_some("he/him")
}

// ---- names

/// Whether a folded word says what kind of people someone is of, and so is no name.
pub(super) fn is_kind_of_people(word: &str) -> bool {
    const KINDS: [&str; 54] = [
        "muslim",
        "christian",
        "jewish",
        "hindu",
        "buddhist",
        "sikh",
        "catholic",
        "protestant",
        "orthodox",
        "atheist",
        "agnostic",
        "black",
        "white",
        "asian",
        "african",
        "european",
        "american",
        "latino",
        "latina",
        "hispanic",
        "arab",
        "kurdish",
        "turkish",
        "german",
        "french",
        "spanish",
        "italian",
        "english",
        "british",
        "scottish",
        "irish",
        "welsh",
        "indian",
        "chinese",
        "japanese",
        "korean",
        "russian",
        "ukrainian",
        "polish",
        "greek",
        "persian",
        "iranian",
        "egyptian",
        "brazilian",
        "mexican",
        "canadian",
        "australian",
        "dutch",
        "swedish",
        "norwegian",
        "danish",
        "indigenous",
        "gay",
        "lesbian",
    ];
    KINDS.contains(&word)
}

patterns! {
    // A name: up to four words with a capital, particles between them.
    CALLED = r"(?:^|[.!?\n] *)(?:(?<head>[^.!?\n]{0,90}?) )?(?i:named|called|nomm[ée]+|pr[ée]nomm[ée]+e?|namens|llamad[oa]|di nome|chamad[oa]) (?<name>(?:(?:Dr|Mr|Mrs|Ms|St|\p{Lu})\. )?\p{Lu}[\p{L}'’-]+(?:(?: (?:de|da|di|del|der|van|von|bin|al|la|le))? \p{Lu}[\p{L}'’-]+){0,3})";
    NAME_IS = r"(?:(?i:\b(?:my|his|her|their) name is|\bname:|\bname is|\bad[ıi]:?|\bs'appelle|\bje m'appelle|\bse llama|\bme llamo|\bsi chiama|\bmein name ist|\bheißt)) +(?<name>(?:(?:Dr|Mr|Mrs|Ms|St|\p{Lu})\. )?\p{Lu}[\p{L}'’-]+(?:(?: (?:de|da|di|del|der|van|von|bin|al|la|le))? \p{Lu}[\p{L}'’-]+){0,3})";
    NAME_TR = r"(?<name>\p{Lu}[\p{L}'’-]+(?: \p{Lu}[\p{L}'’-]+){0,3}) (?:adında|adındaki|adlı|isimli|isminde)\b";
    LEADING_NAME = r"^\s*(?<name>(?:(?:Dr|Mr|Mrs|Ms|St|\p{Lu})\. )?\p{Lu}[\p{L}'’-]+(?: (?:de|da|di|del|der|van|von|bin|al|la|le))?(?: \p{Lu}[\p{L}'’-]+){1,3})(?:, (?:an?|the|\d{1,3}|une?|una|eine?|bir)\b| is an?\b| est une?\b| es una?\b| ist eine?\b| è una?\b)";
    OF_ANOTHER = r"(?i)\b(?:who|whose|with|of|runs?|running|owns?|owner|dog|cat|horse|parrot|pet|son|daughter|wife|husband|brother|sister|friend|shop|store|bookshop|bakery|cafe|café|bar|restaurant|pub|ship|boat|band|company|startup|town|village|city|island|country|planet|farm|school|club|blog|show|podcast|book|novel|game|app|place|street|project|magazine|so)\b";
}

fn name(intent: &str) -> Option<String> {
    let found = NAME_IS
        .captures(intent)
        .or_else(|| CALLED.captures_iter(intent).find(|found| is_own_name(found)))
        .or_else(|| NAME_TR.captures(intent).filter(|found| found.get(0).is_some_and(|all| all.start() < 60)))
        .or_else(|| LEADING_NAME.captures(intent))?;
    let name = found.name("name")?.as_str().trim_end_matches(['.', '-', '\'', '’']);
    let name = name.strip_suffix("'s").or_else(|| name.strip_suffix("’s")).unwrap_or(name);
    let folded = fold(name);
    let first = words(&folded).next()?;
    let articles = ["a", "an", "the", "un", "une", "una", "ein", "eine", "bir"];
    (!articles.contains(&first) && !words(&folded).all(is_kind_of_people)).then(|| name.to_owned())
}

/// Whether it is the persona that is called so, and not a shop or a dog of theirs.
fn is_own_name(found: &Captures<'_>) -> bool {
    found.name("head").is_none_or(|head| !OF_ANOTHER.is_match(head.as_str()))
}

// ---- places

patterns! {
    PLACE_EN = r"\b(?:based in|living in|lives in|live in|resides in|residing in|settled in|from|(?:(?<before>[\p{L}-]+) )?in) (?:the )?(?<place>(?:(?:Dr|Mr|Mrs|Ms|St|\p{Lu})\. )?\p{Lu}[\p{L}'’-]+(?:(?: (?:de|do|da|of|the|la|al|upon))? \p{Lu}[\p{L}'’-]+){0,3}(?:, \p{Lu}[\p{L}'’-]+)?)";
    HOME_EN = r"\b(?:based in|living in|lives in|live in|resides in|residing in|settled in) (?:the )?(?<place>(?:(?:Dr|Mr|Mrs|Ms|St|\p{Lu})\. )?\p{Lu}[\p{L}'’-]+(?:(?: (?:de|do|da|of|the|la|al|upon))? \p{Lu}[\p{L}'’-]+){0,3})";
    PLACE_TR = r"(?<place>\p{Lu}[\p{L}-]+(?: \p{Lu}[\p{L}-]+)?)['’](?:da|de|ta|te|dan|den|tan|ten)\b";
    PLACE_DE = r"\b(?:aus|lebt in|wohnt in) (?:der )?(?<place>\p{Lu}[\p{L}-]+(?: \p{Lu}[\p{L}-]+)?)";
    PLACE_FR = r"\b(?:(?:vivant|habitant|habite|vit|installée?|basée?) (?:à|en)|originaire de) (?<place>\p{Lu}[\p{L}-]+(?: \p{Lu}[\p{L}-]+)?)";
    PLACE_ES = r"\b(?:(?:vive|reside|trabaja|viviendo) en|natural de|originari[oa] de) (?<place>\p{Lu}[\p{L}-]+(?: \p{Lu}[\p{L}-]+)?)";
}

/// Whether what follows `in` is a place, and not a field: `specializes in Mediterranean cuisine`.
fn is_a_place(found: &Captures<'_>) -> bool {
    const FIELDS: [&str; 16] = [
        "special",
        "interest",
        "expert",
        "experienc",
        "versed",
        "trained",
        "believ",
        "degree",
        "major",
        "fluent",
        "excel",
        "dress",
        "rooted",
        "steep",
        "skilled",
        "faith",
    ];
    let before = found.name("before").map_or("", |word| word.as_str());
    !FIELDS.iter().any(|field| before.starts_with(field))
}

fn place(intent: &str, language: Option<&str>) -> Option<String> {
    let found = match language {
        Some("en") => HOME_EN.captures(intent).or_else(|| PLACE_EN.captures_iter(intent).find(is_a_place))?,
        Some("tr") => PLACE_TR.captures(intent)?,
        Some("de") => PLACE_DE.captures(intent)?,
        Some("fr") => PLACE_FR.captures(intent)?,
        Some("es") => PLACE_ES.captures(intent)?,
        _ => return None,
    };
    let place = found.name("place")?.as_str().trim_end_matches(['.', '-']);
    let place = place.strip_suffix("'s").or_else(|| place.strip_suffix("’s")).unwrap_or(place);
    const NO_PLACE: [&str; 24] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "english",
        "french",
        "german",
        "spanish",
        "turkish",
        "i",
        "god",
        "love",
        "latin",
        "ai",
        "stem",
        "it",
    ];
    (!words(&fold(place)).next().is_some_and(|word| NO_PLACE.contains(&word))).then(|| place.to_owned())
}

// ---- occupations, English alone

patterns! {
    OCCUPATION_HEAD = r"^\s*(?i:(?:create|imagine|write|make|you are|i am|i'm|she is|he is) )?(?i:an?|the) (?<head>[^,.;:()\n]{3,120}?)(?: (?:who|whose|that|from|in|based|living|with|and|working|running|on|at|named|called|specializing|specialising|obsessed|but|born|raised|near|of|for|to)\b|[,.;:(\n]|$)";
    WORKS_AS = r"\b(?:working|works|worked|employed) as an? (?<head>[\p{Ll} -]{3,60}?)(?: (?:and|who|in|at|for|to|by|while|with|of|from)\b|[,.;:(\n]|$)";
    AGE_PHRASE = r"(?i)\b(?:\d{1,3}|[a-z]+(?:ty|teen)(?:-[a-z]+)?)[ -]years?[ -]old\b|\b(?:early|mid|late)[ -]\d0s\b|\b(?:early|mid|late)-\w+ies\b";
}

const NO_TRADE: &[&str] = &[
    "homosexual",
    "gay",
    "lesbian",
    "bisexual",
    "transgender",
    "trans",
    "queer",
    "straight",
    "single",
    "divorced",
    "married",
    "widowed",
    "young",
    "old",
    "elderly",
    "middle-aged",
    "teenage",
    "nonbinary",
    "non-binary",
    "asexual",
    "disabled",
    "deaf",
    "blind",
    "grumpy",
    "shy",
    "kind",
    "lonely",
    "cheerful",
    "bitter",
    "quiet",
    "charming",
];
const PEOPLE: &[&str] = &[
    "woman",
    "man",
    "person",
    "mother",
    "father",
    "girl",
    "boy",
    "guy",
    "lady",
    "gentleman",
    "mom",
    "dad",
    "individual",
    "grandmother",
    "grandfather",
    "someone",
    "character",
    "teenager",
    "widow",
    "widower",
    "adult",
    "kid",
    "persona",
    "human",
    "immigrant",
    "refugee",
    "child",
    "villain",
    "hero",
    "heroine",
    "protagonist",
];

fn occupation(intent: &str) -> Option<String> {
    let works = WORKS_AS.captures(intent);
    if let Some(found) = &works
        && !intent[..found.get(0)?.start()].trim_end().ends_with("while")
    {
        return Some(found.name("head")?.as_str().trim().to_owned());
    }
    let head = OCCUPATION_HEAD.captures(intent)?.name("head")?.as_str();
    let head = AGE_PHRASE.replace_all(head, "");
    let trade: Vec<&str> = head
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty() && !NO_TRADE.contains(&word.to_lowercase().as_str()))
        .filter(|word| !word.starts_with(char::is_uppercase))
        .collect();
    let person = trade.last().is_none_or(|last| PEOPLE.contains(last));
    (!person && trade.len() <= 4 && !trade.iter().any(|word| word.chars().any(|c| c.is_ascii_digit())))
        .then(|| trade.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn age_of(intent: &str) -> Option<Age> {
        facts_from_brief(intent).age
    }

    #[expect(clippy::unnecessary_wraps, reason = "rows of a table are alike")]
    const fn span(min: u16, max: u16) -> Option<Age> {
        Some(Age::Between { min, max })
    }

    #[test]
    fn ages_are_read_in_many_languages() {
        for (intent, age) in [
            ("A 54-year-old chef from New York", 54),
            ("A fifty-four-year-old chef", 54),
            ("Marta, 34, imam of a small mosque", 34),
            ("Yusuf (61) repairs clocks", 61),
            ("A retired judge, aged 71, who gardens", 71),
            ("She is 29 and tired", 29),
            ("a 33 yo welder", 33),
            ("A thirty two year old nurse", 32),
            ("54 yaşında, Kadıköy'de yaşayan bir sahaf", 54),
            ("Elli dört yaşında emekli bir öğretmen", 54),
            ("İzmir'den 41 yaşındaki balıkçı", 41),
            ("Eine 54 Jahre alte Bäckerin", 54),
            ("Ein 38-jähriger Förster aus dem Harz", 38),
            ("Ein vierunddreißigjähriger Koch", 34),
            ("Une boulangère de 54 ans", 54),
            ("Un marin âgé de soixante-douze ans", 72),
            ("Una profesora de 54 años", 54),
            ("Un pescador de cuarenta y dos años", 42),
            ("Un falegname di 63 anni", 63),
            ("Uma médica de 45 anos", 45),
            ("Een 50-jarige schipper", 50),
            ("54-летняя учительница из Казани", 54),
            ("54歳の寿司職人", 54),
            ("一位五十四岁的老师 54岁", 54),
            ("54살 어부", 54),
            ("A 45-year-old mother of a 12-year-old", 45),
        ] {
            assert_eq!(age_of(intent), Some(Age::Exact(age)), "{intent}");
        }
    }

    #[test]
    fn a_decade_is_a_span() {
        for (intent, age) in [
            ("A veteran food critic in his 70s", span(70, 79)),
            ("A mid-50s factory owner based in Delhi", span(53, 57)),
            ("A seasoned chef in her 50s", span(50, 59)),
            ("A pilot in her early thirties", span(30, 33)),
            ("A pilot in their late 20s", span(26, 29)),
            ("Ellili yaşlarında bir kaptan", span(50, 59)),
            ("Eine Lehrerin, Mitte 40, aus Köln", span(43, 47)),
            ("Un libraire, la cinquantaine, bougon", span(50, 59)),
            ("An octogenarian beekeeper", span(80, 89)),
            ("A shy teenage hacker", span(13, 19)),
        ] {
            assert_eq!(age_of(intent), age, "{intent}");
        }
    }

    #[test]
    fn numbers_that_are_no_age_of_theirs_are_left_alone() {
        for intent in [
            "A chef who has cooked for 30 years",
            "A jazz singer of the 1950s",
            "A teacher who grew up in the late 60s",
            "A mother of a 12-year-old boy",
            "A woman raising her 9-year-old granddaughter",
            "At age 12 she ran away from home",
            "A nurse with 20 years of experience",
            "Un médico con una experiencia de 20 años",
            "A 300-year-old vampire",
            "A detective who helps teenagers",
            "An explorer",
            "Route 66 trucker",
        ] {
            assert_eq!(age_of(intent), None, "{intent}");
        }
    }

    #[test]
    fn pronouns_come_from_the_head_or_from_pronouns_that_agree() {
        for (intent, pronouns) in [
            ("A 29-year-old Muslim woman from Egypt", Some("she/her")),
            ("A former banker, now dedicating her time to charity", Some("she/her")),
            ("A food critic in his 70s", Some("he/him")),
            ("A detective haunted by the woman he lost", Some("he/him")),
            ("A man who lost his wife and still writes her letters", Some("he/him")),
            ("A non-binary baker from Leeds", Some("they/them")),
            ("A chef from New York", None),
            ("A nurse torn between his needs and her patients", None),
            ("54 yaşında bir kadın", Some("she/her")),
            ("Eine Lehrerin aus Wien", Some("she/her")),
            ("Un hombre que repara relojes", Some("he/him")),
        ] {
            assert_eq!(facts_from_brief(intent).pronouns.as_deref(), pronouns, "{intent}");
        }
    }

    #[test]
    fn names_are_read_where_they_are_the_personas_own() {
        for (intent, name) in [
            ("Marta Kowalska, a baker from Łódź", Some("Marta Kowalska")),
            ("A retired sailor named Tom O'Brien", Some("Tom O'Brien")),
            ("Her name is Ayşe Yılmaz. She paints.", Some("Ayşe Yılmaz")),
            ("Nermin Aksoy adında bir sahaf", Some("Nermin Aksoy")),
            ("Une vieille dame nommée Odette", Some("Odette")),
            ("A woman with a dog named Rex", None),
            ("A barista who runs a shop called Daily Grind", None),
            ("A homosexual Black Atheist woman", None),
            ("A 54-year-old chef from New York", None),
        ] {
            assert_eq!(facts_from_brief(intent).name.as_deref(), name, "{intent}");
        }
    }

    #[test]
    fn places_and_occupations_are_hints_in_the_briefs_own_words() {
        for (intent, place, occupation) in [
            (
                "A 54-year-old chef from New York who is a social media influencer",
                Some("New York"),
                Some("chef"),
            ),
            (
                "A 27-year-old architect in Rio de Janeiro, interested in ferries",
                Some("Rio de Janeiro"),
                Some("architect"),
            ),
            (
                "A mid-50s factory owner based in Delhi, focusing on profits",
                Some("Delhi"),
                Some("factory owner"),
            ),
            ("A veteran food critic in his 70s who is known", None, Some("veteran food critic")),
            (
                "A 29-year-old Muslim woman from Egypt, working as a journalist and more",
                Some("Egypt"),
                Some("journalist"),
            ),
            ("A 37-year-old Muslim man from Turkey, running a business", Some("Turkey"), None),
            (
                "A 25-year-old aspiring actor from India, hoping for more while working as a driver",
                Some("India"),
                Some("aspiring actor"),
            ),
            (
                "A seasoned chef in her 50s who specializes in Mediterranean cuisine and runs a school in Tuscany",
                Some("Tuscany"),
                Some("seasoned chef"),
            ),
            ("A homosexual Black Atheist woman", None, None),
            ("Born in Paris, now living in Oslo, she is the one", Some("Oslo"), None),
            ("54 yaşında, Kadıköy'de yaşayan bir sahaf", Some("Kadıköy"), None),
        ] {
            let facts = facts_from_brief(intent);
            assert_eq!(facts.residence.as_deref(), place, "{intent}");
            assert_eq!(facts.occupation.as_deref(), occupation, "{intent}");
        }
    }

    #[test]
    fn another_time_is_noticed() {
        assert!(facts_from_brief("A 40-year-old knight of the 14th century").other_time);
        assert!(facts_from_brief("A detective in 1947 Los Angeles").other_time);
        assert!(!facts_from_brief("A 40-year-old farmer from Kansas").other_time);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_fault(intent in "\\PC{0,200}") {
            facts_from_brief(&intent);
        }

        #[test]
        fn an_english_age_is_always_found(age in 1_u16..=150, head in "(A|An|The)", job in "[a-z]{3,9}") {
            let intent = format!("{head} {age}-year-old {job} from Oslo");
            prop_assert_eq!(age_of(&intent), Some(Age::Exact(age)));
        }
    }
}
