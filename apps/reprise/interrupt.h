#pragma once

#include <stop_token>

namespace reprise::app {

/// From now on the first Ctrl-C is only noted; a second one ends the process at once.
void note_interrupts();
/// Whether there was one.
bool interrupted();
/// Stops at the first Ctrl-C.
std::stop_token interrupt_token();
/// Throws an Error of kind `cancelled` when there was one.
void stop_if_interrupted();

}  // namespace reprise::app
