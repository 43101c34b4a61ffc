//! What the scripted server does when a command comes: a list of steps.

use super::Gate;

/// Steps, done one after another. Built by chaining: `answer().listen().send("227 ({hostport})\r\n")`.
#[derive(Clone, Debug, Default)]
pub struct Answer(pub(super) Vec<Step>);

#[derive(Clone, Debug)]
pub(super) enum Step {
    Close,
    Connect,
    FinishData,
    HalfFinishData,
    Listen,
    OpenData,
    ReceiveData,
    ReceivePart(usize),
    ResetControl,
    ResetData,
    Send(Vec<u8>),
    SendBytewise(Vec<u8>),
    SendData(Vec<u8>),
    Wait(Gate),
}

/// An answer with no steps yet. A command with no steps is never answered.
pub fn answer() -> Answer {
    Answer::default()
}

/// An ordinary server's steps at a RETR or a LIST: the file, and the replies before and after.
pub fn sends_file(bytes: impl AsRef<[u8]>) -> Answer {
    begins_file(bytes).finish_data().send("226 done\r\n")
}

/// The first steps of a RETR: the data connection stays open.
pub fn begins_file(bytes: impl AsRef<[u8]>) -> Answer {
    answer().send("150 here\r\n").partial_data(bytes)
}

/// An ordinary server's steps at a STOR; the file is for `ScriptedServer::upload`.
pub fn stores_file() -> Answer {
    let begun = answer().send("150 here\r\n");
    begun.receive_data().send("226 done\r\n")
}

impl Answer {
    /// Sends bytes in one write, exactly as given: the script writes the end of line. In the bytes
    /// `{hostport}` stands for the six numbers of the data listener, `{twoports}` for the last two of them,
    /// and `{port}` for its port.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// As [`Answer::send`], with one byte in each write.
    pub fn send_bytewise(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::SendBytewise(bytes.as_ref().to_vec()))
    }

    /// Continues when the test has opened the gate.
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Opens a data listener, on the address that the control connection came to. Closes an earlier one. (A
    /// PORT or EPRT command is kept by itself: the last of the two kinds counts.)
    pub fn listen(self) -> Self {
        self.then(Step::Listen)
    }

    /// Connects to the address of the last PORT or EPRT now, as some servers do at that command.
    pub fn connect(self) -> Self {
        self.then(Step::Connect)
    }

    /// Makes the data connection, unless there is one already: accepts at the listener or connects to the
    /// client's address. The steps for data do this by themselves.
    pub fn open_data(self) -> Self {
        self.then(Step::OpenData)
    }

    /// Sends a whole file on the data connection: the bytes, then the end of file.
    pub fn data(self, bytes: impl AsRef<[u8]>) -> Self {
        self.partial_data(bytes).finish_data()
    }

    /// Sends bytes on the data connection and leaves it open.
    pub fn partial_data(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::SendData(bytes.as_ref().to_vec()))
    }

    /// Ends the data connection with a FIN, as after a complete file.
    pub fn finish_data(self) -> Self {
        self.then(Step::FinishData)
    }

    /// Ends this direction of the data connection; the other direction can still be received.
    pub fn half_finish_data(self) -> Self {
        self.then(Step::HalfFinishData)
    }

    /// Ends the data connection with a RST, as after a failure.
    pub fn reset_data(self) -> Self {
        self.then(Step::ResetData)
    }

    /// Receives a file up to its end and keeps it for `ScriptedServer::upload`.
    pub fn receive_data(self) -> Self {
        self.then(Step::ReceiveData)
    }

    /// Receives `len` bytes of a file, which are not kept.
    pub fn receive_part(self, len: usize) -> Self {
        self.then(Step::ReceivePart(len))
    }

    /// Closes the control connection.
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Resets the control connection (RST).
    pub fn reset(self) -> Self {
        self.then(Step::ResetControl)
    }

    fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

/// A text is sent as it is.
impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        answer().send(text)
    }
}
