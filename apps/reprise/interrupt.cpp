#include "interrupt.h"

#include <csignal>

#include "reprise/error.h"

namespace reprise::app {

namespace {

volatile std::sig_atomic_t g_interrupted = 0;  // what a signal handler may write

extern "C" void on_interrupt(int) {
    g_interrupted = 1;
}

}  // namespace

void note_interrupts() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
}

bool interrupted() {
    return g_interrupted != 0;
}

void stop_if_interrupted() {
    if (interrupted()) throw Error(ErrorKind::cancelled, "stopped");
}

}  // namespace reprise::app
