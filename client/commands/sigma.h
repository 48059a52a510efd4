#pragma once

namespace weir {

/// `weir sigma …`: becomes `weir-sigma`, which lies beside this program, with the arguments behind
/// `sigma`. `argv` is the process's, with its null at the end. Returns an exit code if that fails.
///
/// A program of its own, because the client may not know rules and formats, and because their
/// libraries would slow down the start of every other command.
int RunSigma(char** argv);

}  // namespace weir
