//! The character that a run's steps agree on: what the facts fix, then what the finished layers say, then the
//! brief, and dice for the rest. Every step arrives at the same person from the same inputs.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    brief::{self, Brief, Occupation, SLOT_CHARS, Standing, clipped},
    phrases::{self, Bond, Common, Field, Names, Phrases, Who},
    random::Dice,
    trigger::without_triggers,
};

/// Someone in the persona's life.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) name: String,
    pub(super) bond: Bond,
}

/// The character, with the words its text is filled with.
pub(super) struct Person {
    pub(super) intent: String,
    pub(super) seed: String,
    pub(super) language: String,
    pub(super) phrases: &'static Phrases,
    /// The language the text is in: `language`, or English where the sandbox cannot write it.
    pub(super) writes: &'static str,
    pub(super) brief: Brief,
    pub(super) name: String,
    pub(super) age: u64,
    pub(super) pronouns: String,
    pub(super) occupation: String,
    /// The occupation as it was learned: without `retired`, `former` and the like.
    trade: String,
    pub(super) residence: String,
    pub(super) culture: String,
    /// The key in `phrases/common.json`.
    pub(super) culture_key: String,
    pub(super) field: &'static Field,
    pub(super) interests: Vec<String>,
    pub(super) cause: Option<String>,
    pub(super) circle: Vec<Other>,
    age_child: u64,
    age_youth: u64,
}

/// What the inputs of a call say, whichever of them are there.
pub(super) struct Inputs<'a>(pub(super) &'a Value);

impl<'a> Inputs<'a> {
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A fact: what `facts` fixes, or what a finished identity says.
    fn fact(&self, key: &str) -> Option<&'a Value> {
        let fixed = self.0.get("facts").and_then(|facts| facts.get(key));
        let written = || self.0.pointer("/persona/identity").and_then(|identity| identity.get(key));
        fixed.filter(|value| !value.is_null()).or_else(written).filter(|value| !value.is_null())
    }

    fn fact_text(&self, key: &str) -> Option<String> {
        let text = self.fact(key)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Person {
    /// The person of these inputs.
    pub(super) fn of(inputs: &Inputs<'_>, intent: &str, seed: &str) -> Self {
        let intent = without_triggers(intent);
        let language = inputs.text("language").unwrap_or("en").to_owned();
        let writes = phrases::languages().find(|known| *known == language).unwrap_or("en");
        let mut person = Self {
            brief: brief::read(&intent),
            intent,
            seed: seed.to_owned(),
            phrases: phrases::of(&language),
            language,
            writes,
            name: String::new(),
            age: 0,
            pronouns: String::new(),
            occupation: String::new(),
            trade: String::new(),
            residence: String::new(),
            culture: String::new(),
            culture_key: String::new(),
            field: phrases::of(writes).field("general"),
            interests: Vec::new(),
            cause: None,
            circle: Vec::new(),
            age_child: 0,
            age_youth: 0,
        };
        person.settle(inputs);
        person
    }

    /// Dice for one purpose, the same whenever the same run asks for them.
    pub(super) fn dice(&self, purpose: &str) -> Dice {
        Dice::of(&[&self.seed, purpose, &self.intent])
    }

    fn settle(&mut self, inputs: &Inputs<'_>) {
        let common = phrases::common();
        let mut dice = self.dice("person");
        self.pronouns = self.choose_pronouns(inputs, &mut dice);
        self.settle_occupation(inputs, common, &mut dice);
        self.age = self.choose_age(inputs, &mut dice);
        self.settle_place(inputs, common, &mut dice);
        self.name = inputs
            .fact_text("name")
            .or_else(|| self.brief.name.clone())
            .unwrap_or_else(|| self.invent_name(self.gender(&mut dice), None, &mut dice));
        self.settle_interests(&mut dice);
        self.age_child = dice.between(6, 11).min(self.age);
        self.age_youth = dice.between(14, 18).min(self.age);
        self.circle = self.choose_circle(inputs, &mut dice);
    }

    fn choose_pronouns(&self, inputs: &Inputs<'_>, dice: &mut Dice) -> String {
        let drawn = ["she/her", "he/him"][dice.below(2) as usize];
        let told = inputs.fact_text("pronouns").or_else(|| self.brief.pronouns.map(str::to_owned));
        told.unwrap_or_else(|| drawn.to_owned())
    }

    fn settle_occupation(&mut self, inputs: &Inputs<'_>, common: &Common, dice: &mut Dice) {
        let drawn = dice.pick(&common.common_occupations).cloned().unwrap_or_default();
        let fixed = inputs.fact_text("occupation");
        let meant = match (&fixed, &self.brief.occupation) {
            (Some(words), _) => brief::occupation(words, self.writes),
            (None, Some(told)) => told.clone(),
            (None, None) => brief::occupation(&drawn, "en"),
        };
        let field = meant.key.as_ref().and_then(|key| common.occupations.get(key));
        self.field = self.phrases.field(field.map_or("general", String::as_str));
        self.trade = self.localised_occupation(&Occupation { standing: Standing::Active, ..meant.clone() });
        for lead in ["retired ", "former ", "aspiring ", "veteran ", "seasoned ", "professional "] {
            self.trade = self.trade.strip_prefix(lead).unwrap_or(&self.trade).to_owned();
        }
        self.occupation = fixed.unwrap_or_else(|| self.localised_occupation(&meant));
    }

    /// An occupation in the language the persona is written in; as the brief has it when that is unknown.
    pub(super) fn localised_occupation(&self, meant: &Occupation) -> String {
        if self.writes == "en" && self.brief.language == "en" {
            return meant.words.clone();
        }
        let known = meant.key.as_ref().and_then(|key| self.phrases.occupations.get(key));
        let Some(word) = known.and_then(|spellings| spellings.first()) else {
            return meant.words.clone();
        };
        let frame = match meant.standing {
            Standing::Active => "{occupation}",
            Standing::Retired => &self.phrases.retired,
            Standing::Former => &self.phrases.former,
        };
        let form = |text: &str| self.gendered(text).to_owned();
        form(frame).replace("{occupation}", &form(word))
    }

    /// `Koch|Köchin` is the form for him and the form for her.
    fn gendered<'t>(&self, text: &'t str) -> &'t str {
        match text.split_once('|') {
            Some((_, she)) if self.pronouns.starts_with("she") => she,
            Some((he, _)) => he,
            None => text,
        }
    }

    fn choose_age(&self, inputs: &Inputs<'_>, dice: &mut Dice) -> u64 {
        let standing = self.brief.occupation.as_ref().map(|o| o.standing);
        let student = self.occupation.contains("student") || self.occupation.contains("öğrenci");
        let drawn = match standing {
            Some(Standing::Retired) => dice.between(64, 76),
            Some(Standing::Former) => dice.between(42, 64),
            _ if student => dice.between(18, 24),
            _ => dice.between(27, 61),
        };
        let fixed = inputs.fact("age").and_then(Value::as_u64);
        fixed.or(self.brief.age).unwrap_or(drawn).min(150)
    }

    fn settle_place(&mut self, inputs: &Inputs<'_>, common: &Common, dice: &mut Dice) {
        let fixed = inputs.fact_text("residence");
        let of_fixed = fixed.as_deref().and_then(brief::culture_of);
        let of_language =
            || (self.language != "en").then(|| common.of_language.get(&self.language).cloned()).flatten();
        let drawn = dice.pick(&common.any_culture).cloned().unwrap_or_default();
        self.culture_key = self.brief.culture.clone().or(of_fixed).or_else(of_language).unwrap_or(drawn);
        let culture = common.cultures.get(&self.culture_key);
        let cities = culture.map_or(&[][..], |c| &c.places[..c.places.len().min(4)]);
        let city = dice.pick(cities).cloned().unwrap_or_default();
        let place = self.brief.residence.clone().unwrap_or(city);
        self.residence = fixed.unwrap_or_else(|| self.phrases.place(&place).to_owned());
        self.culture = inputs.fact_text("culture").or_else(|| self.heritage()).unwrap_or_else(|| {
            self.phrases.cultures.get(&self.culture_key).cloned().unwrap_or_else(|| self.residence.clone())
        });
    }

    /// What the brief says of where someone belongs, in the persona's language where it can be said.
    pub(super) fn heritage(&self) -> Option<String> {
        let common = phrases::common();
        let key_of = |word: &String| {
            let of_culture = common.cultures.iter().find(|(_, c)| c.demonyms.contains(word));
            of_culture.map_or(word.clone(), |(key, _)| key.clone())
        };
        let localised = |word: &String| {
            if self.writes == "en" {
                return word.clone();
            }
            self.phrases.cultures.get(&key_of(word)).unwrap_or(word).clone()
        };
        let words: Vec<String> = self.brief.heritage.iter().map(localised).collect();
        (!words.is_empty()).then(|| clipped(&words.join(", "), 240))
    }

    fn settle_interests(&mut self, dice: &mut Dice) {
        let own = self.brief.interests.iter().filter_map(|interest| self.localised_interest(interest));
        let mut interests: Vec<String> = own.collect();
        interests.dedup();
        for key in dice.some(&self.phrases.knowledge.interests, 6) {
            let word = self.phrases.interest(&key).to_owned();
            let same_as_work = self.occupation.contains(&word);
            if interests.len() < 5 && !interests.contains(&word) && !same_as_work {
                interests.push(word);
            }
        }
        self.interests = interests;
        self.cause = self.brief.causes.first().filter(|_| self.writes == "en").cloned();
    }

    fn localised_interest(&self, interest: &str) -> Option<String> {
        if let Some(words) = self.phrases.interests.get(interest) {
            return words.first().cloned();
        }
        (self.writes == "en" && self.brief.language == "en").then(|| interest.to_owned())
    }

    // ---- names

    /// Whose given names fit; who is neither he nor she gets one of either.
    fn gender(&self, dice: &mut Dice) -> Who {
        match self.pronouns.as_str() {
            told if told.starts_with("she") => Who::She,
            told if told.starts_with("he") => Who::He,
            _ => [Who::She, Who::He][dice.below(2) as usize],
        }
    }

    /// A name of the persona's culture. `family` keeps the family's name.
    fn invent_name(&self, who: Who, family: Option<&str>, dice: &mut Dice) -> String {
        let common = phrases::common();
        let Some(culture) = common.cultures.get(&self.culture_key) else { return "Robin Vale".to_owned() };
        let native = culture.native.as_ref().filter(|_| culture.language == self.writes);
        let names: &Names = native.unwrap_or(&culture.names);
        let given = match who {
            Who::She => dice.pick(&names.she),
            Who::He => dice.pick(&names.he),
            Who::Any if dice.below(2) == 0 => dice.pick(&names.she),
            Who::Any => dice.pick(&names.he),
        };
        let given = given.cloned().unwrap_or_default();
        let drawn = dice.pick(&names.family).cloned().unwrap_or_default();
        let family = family.unwrap_or(&drawn);
        match (culture.family_first, native.is_some()) {
            (true, true) => format!("{family}{given}"),
            (true, false) => format!("{family} {given}"),
            (false, _) => format!("{given} {family}"),
        }
    }

    /// The name friends use.
    pub(super) fn first_name(&self) -> String {
        let family_first = phrases::common().cultures.get(&self.culture_key).is_some_and(|c| c.family_first);
        let mut parts = self.name.split(' ');
        let part = if family_first { parts.next_back() } else { parts.next() };
        clipped(part.unwrap_or(&self.name), SLOT_CHARS)
    }

    fn family_name(&self) -> Option<&str> {
        let (first, rest) = self.name.split_once(' ')?;
        let family_first = phrases::common().cultures.get(&self.culture_key).is_some_and(|c| c.family_first);
        Some(if family_first { first } else { rest.rsplit(' ').next().unwrap_or(rest) })
    }

    // ---- the others

    fn choose_circle(&self, inputs: &Inputs<'_>, dice: &mut Dice) -> Vec<Other> {
        let grown = self.age >= 20;
        let bonds = |family: bool| {
            let fits = |bond: &&Bond| bond.family == family && (grown || !bond.adult);
            self.phrases.relations.iter().filter(fits).cloned().collect::<Vec<_>>()
        };
        let mut chosen = dice.some(&bonds(true), 1);
        let further = dice.between(2, 3);
        chosen.extend(dice.some(&bonds(false), further as usize));
        let written = inputs.0.pointer("/persona/relations").and_then(Value::as_array);
        let mut names: Vec<String> = written
            .into_iter()
            .flatten()
            .filter_map(|r| r.get("name").and_then(Value::as_str))
            .map(|name| clipped(name, SLOT_CHARS))
            .collect();
        if names.len() < 2 {
            names.clear();
        }
        let mut circle: Vec<Other> = Vec::new();
        for (index, bond) in chosen.into_iter().enumerate() {
            let invented = self.invent_other(&bond, &circle, dice);
            let name = names.get(index).cloned().unwrap_or(invented);
            circle.push(Other { name, bond });
        }
        circle
    }

    /// A name that neither the persona nor anyone in the circle has, not even in part (a family's aside).
    fn invent_other(&self, bond: &Bond, circle: &[Other], dice: &mut Dice) -> String {
        let family = self.family_name().filter(|_| bond.family && self.name.chars().count() <= SLOT_CHARS);
        let first = self.first_name();
        for _ in 0..24 {
            let name = self.invent_name(bond.who, family, dice);
            let given: Vec<&str> = name.split(' ').filter(|part| Some(*part) != family).collect();
            let shares = |with: &str| with.split(' ').any(|part| given.contains(&part));
            let taken = name.contains(&first) || shares(&self.name) || circle.iter().any(|o| shares(&o.name));
            if !taken && name != self.name {
                return name;
            }
        }
        // Only a brief that names its persona after the whole bank comes here.
        format!("Robin {}", ["Vale", "Quill", "Marsh", "Fenn"][circle.len().min(3)])
    }

    fn dear(&self) -> Cow<'_, str> {
        let dear = self.circle.iter().find(|o| o.bond.dear && o.bond.family);
        dear.or(self.circle.first()).map_or(Cow::Borrowed(""), |o| Cow::Borrowed(&o.name))
    }

    fn met(&self) -> Cow<'_, str> {
        let met = self.circle.iter().find(|o| o.bond.dear && !o.bond.family);
        met.or(self.circle.last()).map_or(Cow::Borrowed(""), |o| Cow::Borrowed(&o.name))
    }

    // ---- words

    /// A template filled with this person's words.
    pub(super) fn fill(&self, template: &str) -> String {
        self.fill_with(template, &[])
    }

    /// A template filled with `own` words before this person's.
    pub(super) fn fill_with(&self, template: &str, own: &[(&str, &str)]) -> String {
        let interest_at = |index: usize| Cow::Borrowed(self.interests.get(index).map_or("", String::as_str));
        let value = |slot: &str| -> Option<Cow<'_, str>> {
            if let Some((_, word)) = own.iter().find(|(key, _)| *key == slot) {
                return Some(Cow::Owned((*word).to_owned()));
            }
            Some(match slot {
                "name" => Cow::Borrowed(&*self.name),
                "first" => Cow::Owned(self.first_name()),
                "age" => Cow::Owned(self.age.to_string()),
                "age_child" => Cow::Owned(self.age_child.to_string()),
                "age_youth" => Cow::Owned(self.age_youth.to_string()),
                "occupation" => Cow::Owned(clipped(&self.occupation, SLOT_CHARS)),
                "an_occupation" => Cow::Owned(with_article(&clipped(&self.occupation, SLOT_CHARS))),
                "trade" => Cow::Owned(clipped(&self.trade, SLOT_CHARS)),
                "a_trade" => Cow::Owned(with_article(&clipped(&self.trade, SLOT_CHARS))),
                "residence" => Cow::Owned(clipped(&self.residence, SLOT_CHARS)),
                "workplace" => Cow::Borrowed(&*self.field.workplace),
                "tool" => Cow::Borrowed(&*self.field.tool),
                "matter" => Cow::Borrowed(&*self.field.matter),
                "interest" => interest_at(0),
                "interest2" => interest_at(1),
                "cause" => Cow::Borrowed(self.cause.as_deref()?),
                "other" => self.dear(),
                "met" => self.met(),
                other => Cow::Borrowed(self.english_pronoun(other)?),
            })
        };
        phrases::fill(template, self.writes, &value)
    }

    /// English alone needs pronouns and verbs that agree; the other banks are written around them.
    fn english_pronoun(&self, slot: &str) -> Option<&'static str> {
        let forms: [&'static str; 3] = match slot {
            "they" => ["she", "he", "they"],
            "They" => ["She", "He", "They"],
            "them" => ["her", "him", "them"],
            "their" => ["her", "his", "their"],
            "themself" => ["herself", "himself", "themself"],
            "is" => ["is", "is", "are"],
            "was" => ["was", "was", "were"],
            "has" => ["has", "has", "have"],
            "know" => ["knows", "knows", "know"],
            "wear" => ["wears", "wears", "wear"],
            _ => return None,
        };
        let index = match self.pronouns.as_str() {
            told if told.starts_with("she") => 0,
            told if told.starts_with("he") => 1,
            _ => 2,
        };
        Some(forms[index])
    }

    /// One filled template of a bank.
    pub(super) fn one(&self, bank: &[String], dice: &mut Dice) -> String {
        dice.pick(bank).map(|template| self.fill(template)).unwrap_or_default()
    }

    /// `count` filled templates of a bank.
    pub(super) fn few(&self, bank: &[String], count: u64, dice: &mut Dice) -> Vec<String> {
        dice.some(bank, count as usize).iter().map(|template| self.fill(template)).collect()
    }
}

/// `an engineer`, `a university lecturer`.
fn with_article(noun: &str) -> String {
    let lower = noun.to_lowercase();
    let vowel = lower.starts_with(['a', 'e', 'i', 'o', 'u']);
    let sounds_like_you = ["uni", "eu", "one"].iter().any(|start| lower.starts_with(start));
    format!("{} {noun}", if vowel && !sounds_like_you { "an" } else { "a" })
}
