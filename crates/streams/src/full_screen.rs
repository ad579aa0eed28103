//! Takes the whole terminal for a view, and gives it back.

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::outcome::{Failure, Outcome};
use crate::signals::EndSignals;

/// A command from the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyCommand {
    Quit,
    Pause,
}

/// The commands from the keyboard. `None` once the terminal is gone.
pub(crate) type Keyboard = UnboundedReceiver<KeyCommand>;

/// Runs a view on the whole terminal, until the view or a signal ends it. Restores the terminal.
pub(crate) async fn full_screen(
    show: impl AsyncFnOnce(&mut DefaultTerminal, &mut Keyboard) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let mut ends = EndSignals::listen()?;
    let mut terminal = ratatui::try_init()?;
    let mut keys = keyboard();
    let result = tokio::select! {
        result = show(&mut terminal, &mut keys) => result,
        signal = ends.next() => Ok(Outcome::Signal(signal)),
    };
    // After a signal or an error, the terminal may be gone: ignore that it cannot be restored.
    let restored = ratatui::try_restore();
    if matches!(result, Ok(Outcome::Ok)) {
        restored?;
    }
    result
}

/// Reads the keyboard on a separate thread until the receiver is dropped.
fn keyboard() -> Keyboard {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let Some(command) = key_command(&event) else { continue };
            if sender.send(command).is_err() {
                return;
            }
        }
    });
    receiver
}

fn key_command(event: &Event) -> Option<KeyCommand> {
    let Event::Key(key) = event else { return None };
    if key.kind != KeyEventKind::Press {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(KeyCommand::Quit)
        }
        KeyCode::Char('q') | KeyCode::Esc => Some(KeyCommand::Quit),
        KeyCode::Char('p') => Some(KeyCommand::Pause),
        _ => None,
    }
}
