//! Playing the tape by itself, up to the next breakpoint.

use super::Session;
use crate::search::Lookout;

/// Speeds that playback offers, in operations a second.
pub const SPEEDS: &[u32] = &[1, 2, 5, 10, 25, 100, 500, 2_000, 10_000, 50_000, 250_000, 1_000_000];

/// Playing the tape by itself.
#[derive(Clone, Copy, Debug)]
pub struct Playback {
    /// Whether it runs.
    pub playing: bool,
    /// Index into [`SPEEDS`].
    pub speed: usize,
    /// Operations due, not done yet.
    pub(super) due: f64,
}

impl Playback {
    /// Operations a second.
    fn per_second(&self) -> u32 {
        SPEEDS[self.speed.min(SPEEDS.len() - 1)]
    }
}

impl Default for Playback {
    fn default() -> Self {
        Self { playing: false, speed: 3, due: 0.0 }
    }
}

impl Session {
    /// Time passes: playback adds what is due.
    pub fn tick(&mut self, seconds: f64) {
        if !self.playback.playing {
            self.lookout = None;
            return;
        }
        if self.seek.is_some() {
            return;
        }
        if self.step() >= self.len() {
            self.playback.playing = false;
            return;
        }
        let speed = self.playback.per_second();
        // A window that slept does not owe the time it slept.
        self.playback.due += seconds.min(0.25) * f64::from(speed);
        let mut whole = self.playback.due.floor();
        if let Some(lookout) = &self.lookout {
            // What lies beyond has not been looked at for breakpoints yet, and is not owed either.
            let clear = lookout.clear_to().saturating_sub(self.step()) as f64;
            if whole > clear {
                whole = clear;
                self.playback.due = clear;
            }
        } else if !self.breakpoints.is_empty() {
            return;
        }
        self.playback.due -= whole;
        if whole >= 1.0 {
            self.travel_to(self.step() + whole as u64);
        }
    }

    /// Looks for breakpoints ahead of Play.
    pub(super) fn look_out(&mut self, more: &impl Fn() -> bool) {
        /// Seconds of Play that are looked at ahead.
        const AHEAD: u64 = 1;
        if !self.playback.playing || self.breakpoints.is_empty() {
            return;
        }
        let step = self.step();
        let speed = self.playback.per_second();
        let breakpoints = &self.breakpoints;
        let lookout = self.lookout.get_or_insert_with(|| Lookout::new(breakpoints.clone(), step));
        lookout.advance(&mut self.replay, step + AHEAD * u64::from(speed), more);
    }

    /// Stops Play at a breakpoint.
    pub(super) fn halt(&mut self) {
        let step = self.step();
        if let Some(condition) = self.lookout.as_ref().and_then(|l| l.breakpoint(step)) {
            self.notice = Some(format!("Play stopped at a breakpoint: {condition}"));
            self.playback.playing = false;
            self.lookout = None;
        }
    }
}
