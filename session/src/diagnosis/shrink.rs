//! A large trace down to a few hundred operations that still show what became of its memory: a lesson in small.
//!
//! Arenas become small, so that a few blocks fill one, and requests that pymalloc serves grow by one factor, so that fewer are needed. What
//! stays are blocks with all that was done to them, in the order of the trace; which ones, is tried until the verdict and the
//! site that it names are the same, and then as many as can be are taken away, by halves and smaller parts (delta debugging).

use std::sync::Arc;

use sim_core::tape::{FrameId, StackId};
use sim_core::{Call, Domain, Kind, Note, Op, Profile, Trace, TraceBuilder};
use thiserror::Error;

use super::births::NONE;
use super::key::{Key, has_stacks};
use super::survey::{Found, Surveyor};
use super::verdict::{self, Word};
use crate::actions::{stack_at, stack_changes};
use crate::format::count;
use crate::setup::{Setup, SetupError};

/// Settings of the small arenas: of 4 pools, each of a page.
const SMALL: [(&str, &str); 2] = [("pool_size", "4096"), ("arena_size", "16384")];
/// Blocks of the first attempts; more where they show nothing.
const ATTEMPTS: [usize; 6] = [150, 250, 400, 700, 1200, 2500];
/// Candidates that are tried at most while it gets smaller.
const TRIALS: usize = 4000;
/// What requests are grown to on average.
const USUAL_BYTES: u64 = 300;

/// Why there is no small form.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ShrinkError {
    /// The set-up, or the small arenas.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Nothing to show.
    #[error("there is nothing to show: the verdict is {0}")]
    Nothing(&'static str),
    /// No small form was found.
    #[error(
        "no few thousand of its blocks show {0} in small arenas by themselves; cut the part out that does with `arenascope trim`, and \
         shrink that"
    )]
    NotInSmall(&'static str),
    /// A run that small arenas cannot stand for.
    #[error("only runs on pymalloc are made small")]
    NotPymalloc,
}

/// What has to stay: the word, and who is named first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symptom {
    /// The verdict's word.
    pub word: Word,
    /// The site, or the size class, that it names first, where it names one.
    pub site: Option<String>,
}

impl Symptom {
    /// Of what was found on a run.
    pub fn of(found: &Found) -> Self {
        let word = verdict::of_run(&found.survey, &found.doubts).word;
        let survey = &found.survey;
        let site = match (word, survey.key) {
            (Word::Growth, Key::Site(_)) => survey.grown.first().map(|grown| grown.label.key.clone()),
            (Word::Pinned, Key::Site(_)) => {
                let first = survey.at_end.first().filter(|group| group.arenas_alone > 0);
                first.map(|group| group.label.key.clone())
            }
            _ => None,
        };
        Self { word, site }
    }
}

/// The small form.
#[derive(Clone, Debug)]
pub struct Small {
    /// The lesson.
    pub trace: Trace,
    /// What it shows.
    pub symptom: Symptom,
    /// Operations of the whole trace.
    pub operations: u64,
    /// What requests that pymalloc serves were multiplied by.
    pub factor: u64,
}

/// A block of the trace, with all that was done to it.
#[derive(Clone, Debug)]
struct Life {
    /// Operations by index, in order.
    steps: Vec<u32>,
    /// Whether it lives to the end.
    stays: bool,
    /// Whether pymalloc served all of it.
    small: bool,
    /// The site that it was born at.
    site: u32,
}

/// Makes a trace small. `tried` is called for each candidate; where it returns false, the smallest so far is given.
pub fn shrink(
    trace: &Arc<Trace>,
    setup: &Setup,
    tried: &mut dyn FnMut(usize) -> bool,
) -> Result<Small, ShrinkError> {
    let found = run(Arc::clone(trace), setup.clone())?;
    if found.machine.mimalloc().is_some() {
        return Err(ShrinkError::NotPymalloc);
    }
    let symptom = Symptom::of(&found);
    if symptom.word == Word::Healthy {
        return Err(ShrinkError::Nothing(symptom.word.name()));
    }
    drop(found);
    let form = Form::new(trace, setup)?;
    let lives = form.lives();
    let named = symptom.site.as_ref().and_then(|site| form.site(&lives, site));
    let first = mixes().map(|mix| sample(&lives, mix, named)).find(|kept| form.shows(kept, &symptom));
    let first = first.ok_or(ShrinkError::NotInSmall(symptom.word.name()))?;
    let kept = form.reduce(first, &symptom, tried);
    let mut small = form.trace(&kept);
    form.describe(&mut small, &symptom);
    Ok(Small { trace: small, symptom, operations: trace.len(), factor: form.factor })
}

fn run(trace: Arc<Trace>, setup: Setup) -> Result<Found, SetupError> {
    let mut surveyor = Surveyor::new(trace, setup)?;
    while !surveyor.advance() {}
    Ok(surveyor.finish())
}

/// Which blocks a candidate is made of.
#[derive(Clone, Copy, Debug)]
struct Mix {
    /// How many.
    blocks: usize,
    /// The share of those that stay to the end; as in the trace where it is left open.
    stay: Option<f64>,
    /// Whether blocks that pymalloc does not serve are among them.
    large: bool,
}

/// What is tried, the fewest blocks first.
fn mixes() -> impl Iterator<Item = Mix> {
    const STAY: [Option<f64>; 5] = [None, Some(0.05), Some(0.2), Some(0.5), Some(0.9)];
    ATTEMPTS.iter().flat_map(|&blocks| {
        STAY.iter().flat_map(move |&stay| [true, false].map(|large| Mix { blocks, stay, large }))
    })
}

/// Blocks of a mix, evenly over the trace; of the site that is named, those that stay are there in any case.
fn sample(lives: &[Life], mix: Mix, named: Option<u32>) -> Vec<Life> {
    /// Of those of the site that is named.
    const FEW: usize = 12;
    let pick = |of: &[usize], take: usize| -> Vec<usize> {
        let take = take.min(of.len());
        (0..take).map(|n| of[n * of.len() / take]).collect()
    };
    let chosen = |wanted: &dyn Fn(&Life) -> bool| -> Vec<usize> {
        let kept = lives.iter().enumerate().filter(|(_, life)| (mix.large || life.small) && wanted(life));
        kept.map(|(at, _)| at).collect()
    };
    let (stay, go) = (chosen(&|life| life.stays), chosen(&|life| !life.stays));
    let share = mix.stay.unwrap_or(stay.len() as f64 / (stay.len() + go.len()).max(1) as f64);
    let staying = (mix.blocks as f64 * share).round() as usize;
    let mut kept = pick(&stay, staying);
    kept.extend(pick(&go, mix.blocks.saturating_sub(staying)));
    if let Some(site) = named {
        let of_site = chosen(&|life| life.stays && life.site == site);
        kept.extend(pick(&of_site, FEW));
    }
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|at| lives[at].clone()).collect()
}

/// How the trace looks in small.
struct Form<'a> {
    whole: &'a Trace,
    setup: Setup,
    factor: u64,
    threshold: u64,
    stacks: bool,
    changes: Vec<(u64, StackId)>,
}

impl<'a> Form<'a> {
    fn new(whole: &'a Trace, setup: &Setup) -> Result<Self, SetupError> {
        let mut profile: Profile = setup.profile.clone();
        let settings: Vec<(String, String)> =
            SMALL.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        profile = profile.changed(&settings)?;
        let threshold = profile.small_request_threshold;
        let (mut sum, mut requests) = (0_u64, 0_u64);
        for index in 0..whole.len() as usize {
            let op = whole.packed(index);
            if op.domain != Domain::Raw
                && matches!(op.kind, Kind::Malloc | Kind::Calloc)
                && (1..=threshold).contains(&op.size)
            {
                sum += op.size;
                requests += 1;
            }
        }
        let usual = sum.checked_div(requests).unwrap_or(USUAL_BYTES).max(1);
        let factor = (USUAL_BYTES / usual).max(1);
        let setup = Setup { profile, malloc: setup.malloc, start: None };
        let changes = stack_changes(whole, 0);
        Ok(Self { whole, setup, factor, threshold, stacks: has_stacks(whole), changes })
    }

    /// The number of a site, as lives have it.
    fn site(&self, lives: &[Life], label: &str) -> Option<u32> {
        let stacks = &self.whole.origin.stacks;
        let mut sites: Vec<u32> = lives.iter().map(|life| life.site).filter(|site| *site > 0).collect();
        sites.sort_unstable();
        sites.dedup();
        sites.into_iter().find(|site| stacks.line(FrameId(site - 1)).to_string() == label)
    }

    fn stack(&self, index: u32) -> StackId {
        stack_at(self.whole, &self.changes, u64::from(index)).unwrap_or_default()
    }

    /// The blocks of the trace, in the order of their births.
    fn lives(&self) -> Vec<Life> {
        let trace = self.whole;
        let mut open = vec![NONE; trace.slot_count() as usize];
        let mut all: Vec<Life> = Vec::new();
        for index in 0..trace.len() as u32 {
            let op = trace.packed(index as usize);
            if op.kind == Kind::Act || op.null && op.kind == Kind::Free {
                continue;
            }
            let Some(of) = open.get_mut(op.slot.0 as usize) else { continue };
            let frees = matches!(op.kind, Kind::Free | Kind::FreeKeep);
            if *of == NONE || (!frees && op.kind != Kind::Realloc) {
                if frees {
                    continue;
                }
                let site = trace.origin.stacks.node(self.stack(index)).map_or(0, |(_, frame)| frame.0 + 1);
                *of = all.len() as u32;
                all.push(Life { steps: Vec::new(), stays: true, small: true, site });
            }
            let life = &mut all[*of as usize];
            life.steps.push(index);
            life.small &= frees || op.domain != Domain::Raw && op.size <= self.threshold;
            if frees {
                life.stays = false;
                *of = NONE;
            }
        }
        all
    }

    /// The blocks as a trace by itself.
    fn trace(&self, kept: &[Life]) -> Trace {
        let mut steps: Vec<(u32, usize)> = kept
            .iter()
            .enumerate()
            .flat_map(|(id, life)| life.steps.iter().map(move |step| (*step, id)))
            .collect();
        steps.sort_unstable();
        let mut tape = TraceBuilder::new("shrunk");
        let head = &mut tape.trace_mut().head;
        head.profile = Some(self.setup.profile.name.clone());
        head.settings = SMALL.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        head.malloc = Some(self.setup.malloc);
        head.lesson = true;
        let mut stack = StackId(0);
        for (step, id) in steps {
            let op = self.whole.packed(step as usize);
            let id = id as u64 + 1;
            let births = kept[id as usize - 1].steps.first() == Some(&step);
            let size = self.size(op.domain, op.size);
            let call = match op.kind {
                Kind::Malloc | Kind::Act => Call::Malloc { id, size },
                Kind::Calloc => Call::Calloc { id, nelem: 1, elsize: size },
                Kind::Realloc if births => Call::Realloc { id: 0, newid: id, size },
                Kind::Realloc => Call::Realloc { id, newid: id, size },
                Kind::Free | Kind::FreeKeep => Call::Free { id },
            };
            if self.stacks && !matches!(call, Call::Free { .. }) {
                let lines = self.whole.origin.stacks.lines(self.stack(step));
                let of = tape.stack(&lines);
                if of != stack {
                    stack = of;
                    let call = Call::Act(sim_core::tape::Action::Stack(of));
                    // The builder has just made the stack, and an action names no block.
                    let _ = tape.push(Op { thread: 0, domain: Domain::Obj, call });
                }
            }
            // Blocks have their ids from their births on, so that no call can be refused.
            let _ = tape.push(Op { thread: 0, domain: op.domain, call });
        }
        tape.finish()
    }

    /// What a request is in small: one that pymalloc serves stays one.
    fn size(&self, domain: Domain, size: u64) -> u64 {
        let small = domain != Domain::Raw && (1..=self.threshold).contains(&size);
        if small { (size * self.factor).min(self.threshold) } else { size.min(i64::MAX as u64) }
    }

    fn shows(&self, kept: &[Life], symptom: &Symptom) -> bool {
        let small = Arc::new(self.trace(kept));
        run(small, self.setup.clone()).is_ok_and(|found| Symptom::of(&found) == *symptom)
    }

    /// Takes away what is not needed, in parts that become smaller.
    fn reduce(
        &self,
        mut kept: Vec<Life>,
        symptom: &Symptom,
        tried: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Life> {
        let mut part = kept.len().div_ceil(2);
        let mut trials = 0;
        while part > 0 {
            let mut from = 0;
            let before = kept.len();
            while from < kept.len() {
                trials += 1;
                if trials > TRIALS || !tried(kept.len()) {
                    return kept;
                }
                let until = kept.len().min(from + part);
                let rest = [&kept[..from], &kept[until..]].concat();
                if !rest.is_empty() && self.shows(&rest, symptom) {
                    kept = rest;
                } else {
                    from = until;
                }
            }
            // What was needed may no longer be, once others are gone.
            if part == 1 && kept.len() == before {
                break;
            }
            part = (part / 2).max(1);
        }
        kept
    }

    /// Says what it shows, where it is opened.
    fn describe(&self, small: &mut Trace, symptom: &Symptom) {
        let name = &self.whole.head.name;
        let operations = count(self.whole.len(), "operation");
        let site = symptom.site.as_ref().map_or_else(String::new, |site| format!(" by {site}"));
        let last = small.len().saturating_sub(1);
        let head = &mut small.head;
        head.name = format!("{}{site}, in small", symptom.word.name());
        head.description = format!(
            "What became of the memory of {name} ({operations}), with the fewest blocks that show it in arenas of 16 KiB. Requests are \
             {} times what they were.",
            self.factor
        );
        let text = match symptom.word {
            Word::Pinned => "What is freed is freed by now. Look at who still lives in each arena.",
            Word::Growth => "It ends here, and would go on to grow: look at what was never freed.",
            _ => "This is the end: look at what is held and what lives.",
        };
        head.notes = vec![
            Note { at: 0, text: format!("The program begins. It will end as {}.", symptom.word.name()) },
            Note { at: last, text: text.to_owned() },
        ];
    }
}
