//! Calls that are neither malloc nor free.

use sim_core::tape::{Action, Poked};

use super::Expander;
use crate::error::LineColumn;
use crate::program::Fault;
use crate::program::expr::Argument;

impl Expander<'_> {
    /// What is neither malloc nor free.
    pub(super) fn action(
        &mut self,
        at: LineColumn,
        name: &str,
        arguments: &[Argument],
    ) -> Result<Action, Fault> {
        let number = |index: usize| self.number(arguments, index, name, at);
        let small = |index: usize| -> Result<u32, Fault> {
            let value = number(index)?;
            u32::try_from(value).map_err(|_| {
                Fault::new(at, format!("{value} does not fit here"), "give a number from 0 to 2^32")
            })
        };
        let flag = |keyword: &str| {
            arguments
                .iter()
                .find(|a| a.keyword.as_deref() == Some(keyword))
                .map_or(Ok(0), |a| self.value(&a.value, at))
        };
        Ok(match name {
            "setup_debug_hooks" => Action::SetupDebugHooks,
            "set_allocator" => {
                let table = Self::text(arguments, 1, name, at)?;
                Action::SetAllocator(
                    table
                        .parse()
                        .map_err(|takes: &str| Fault::new(at, format!("\"{table}\" is no table"), takes))?,
                )
            }
            "set_arena_allocator" => {
                let hook = Self::text(arguments, 0, name, at)?;
                Action::SetArenaAllocator(
                    hook.parse().map_err(|takes: &str| {
                        Fault::new(at, format!("\"{hook}\" is no arena hook"), takes)
                    })?,
                )
            }
            "poke" => {
                let bytes = Self::text(arguments, 2, name, at)?;
                let bytes = Poked::parse(&bytes.replace(' ', "")).ok_or_else(|| {
                    Fault::new(
                        at,
                        format!("\"{bytes}\" are no bytes"),
                        "write 1 to 16 bytes as pairs of hexadecimal digits",
                    )
                })?;
                Action::Poke { id: self.id(arguments, name, at)?, offset: number(1)?, bytes }
            }
            "tracemalloc_start" => Action::TracemallocStart(i32::try_from(number(0)?).unwrap_or(i32::MAX)),
            "tracemalloc_stop" => Action::TracemallocStop,
            "clear_traces" => Action::TracemallocClear,
            "reset_peak" => Action::TracemallocResetPeak,
            "snapshot" => {
                let called = Self::text(arguments, 0, name, at)?.to_owned();
                Action::TracemallocSnapshot(self.builder.name_number(&called))
            }
            "track" => Action::Track {
                id: self.id(arguments, name, at)?,
                domain: small(1)?,
                size: self.unsigned(arguments, 2, name, at)?,
            },
            "untrack" => Action::Untrack { id: self.id(arguments, name, at)?, domain: small(1)? },
            "virtual_free" => Action::VirtualFree { id: self.id(arguments, name, at)? },
            "interpreter_new" => {
                Action::InterpreterNew { number: small(0)?, own_obmalloc: flag("own")? != 0 }
            }
            "interpreter_switch" => Action::InterpreterSwitch(small(0)?),
            "interpreter_end" => Action::InterpreterEnd(small(0)?),
            "attach" => Action::ThreadState { attached: true },
            "detach" => Action::ThreadState { attached: false },
            "collect" => Action::HeapCollect { force: flag("force")? != 0 },
            "thread_exit" => Action::ThreadExit,
            "quiescent" => Action::Quiescent,
            "process_delayed" => Action::ProcessDelayed,
            "free_delayed" => Action::FreeDelayed {
                id: self.id(arguments, name, at)?,
                size: self.unsigned(arguments, 1, name, at)?,
            },
            _ => {
                return Err(Fault::new(
                    at,
                    format!("there is no call `{name}`"),
                    "there are malloc, calloc, realloc and free, and those of docs/program.md",
                ));
            }
        })
    }
}
