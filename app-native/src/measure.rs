//! Dragging the position along the whole tape and back by itself, to see how long frames take.

use app_ui::{App, FrameSummary};
use eframe::egui::{self, Event, Modifiers, PointerButton, Pos2};

/// Frames that the window gets to settle once the trace is open.
const SETTLING: u32 = 30;

/// A drag along the bar of the whole tape.
#[derive(Debug)]
pub(crate) struct Drag {
    seconds: f64,
    stage: Stage,
    /// Frames while the trace was opened and read ahead.
    opening: Option<FrameSummary>,
    /// What the toolkit says each frame took with painting, in milliseconds.
    painted: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The trace is opened and read ahead; so many frames were quiet.
    Opening(u32),
    /// The button went down at this time of egui's.
    Dragging(f64),
    /// It went up; what is under way comes to rest.
    Resting,
    /// All is said.
    Done,
}

impl Drag {
    /// To the end and back in so many seconds.
    pub(crate) fn new(seconds: f64) -> Self {
        Self { seconds, stage: Stage::Opening(0), opening: None, painted: Vec::new() }
    }

    /// Puts what the hand would do into the input of a frame.
    pub(crate) fn input(&mut self, app: &mut App, input: &mut egui::RawInput) {
        let (Some(bar), Some(now)) = (app.timeline(), input.time) else { return };
        let at = |share: f64| Pos2::new(bar.left() + bar.width() * share as f32, bar.center().y);
        let button = |pressed, pos| Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::default(),
        };
        // A real pointer over the window must not take part.
        input.events.retain(|e| !matches!(e, Event::PointerMoved(_) | Event::PointerGone));
        match self.stage {
            Stage::Opening(SETTLING) => {
                self.opening = Some(app.frame_times());
                app.reset_frame_times();
                input.events.extend([Event::PointerMoved(at(0.0)), button(true, at(0.0))]);
                self.stage = Stage::Dragging(now);
            }
            Stage::Dragging(begun) => {
                let share = (now - begun) / self.seconds;
                let there = (1.0 - (share * 2.0 - 1.0).abs()).clamp(0.0, 1.0);
                input.events.push(Event::PointerMoved(at(there)));
                if share >= 1.0 {
                    input.events.push(button(false, at(there)));
                    self.stage = Stage::Resting;
                }
            }
            Stage::Opening(_) | Stage::Resting | Stage::Done => {}
        }
    }

    /// After a frame: says what was measured once all is done. `painted` is what the toolkit says of the
    /// frame before.
    pub(crate) fn after(&mut self, app: &App, painted: Option<f32>) -> Option<String> {
        match self.stage {
            Stage::Opening(quiet) => {
                let open = app.step().is_some() && !app.busy();
                self.stage = Stage::Opening(if open { (quiet + 1).min(SETTLING) } else { 0 });
            }
            Stage::Dragging(_) => {
                self.painted.extend(painted.map(|seconds| seconds * 1e3));
            }
            Stage::Resting if !app.busy() => {
                self.stage = Stage::Done;
                return Some(self.report(app));
            }
            Stage::Resting | Stage::Done => {}
        }
        None
    }

    fn report(&mut self, app: &App) -> String {
        let FrameSummary { frames, median_ms, p99_ms, worst_ms } = app.frame_times();
        self.painted.sort_by(f32::total_cmp);
        let painted = |at: usize| rounded(self.painted.get(at).copied().unwrap_or_default());
        let (name, operations) = (app.trace_name().unwrap_or_default(), app.step().map_or(0, |s| s.1));
        serde_json::json!({
            "trace": name,
            "operations": operations,
            "seconds": self.seconds,
            "frames": frames,
            "median_ms": rounded(median_ms),
            "p99_ms": rounded(p99_ms),
            "worst_ms": rounded(worst_ms),
            "opening_worst_ms": self.opening.map(|o| rounded(o.worst_ms)),
            "with_painting_median_ms": painted(self.painted.len() / 2),
            "with_painting_worst_ms": painted(self.painted.len().saturating_sub(1)),
        })
        .to_string()
    }
}

fn rounded(ms: f32) -> f64 {
    (f64::from(ms) * 1e3).round() / 1e3
}
