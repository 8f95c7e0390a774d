#include "interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "reprise/error.h"

namespace reprise::app {

namespace {

volatile std::sig_atomic_t g_interrupted = 0;  // what a signal handler may write
int g_wake[2] = {-1, -1};                      // a pipe: a stop cannot be asked for in a signal handler

extern "C" void on_interrupt(int) {
    g_interrupted = 1;
    const int before = errno;
    [[maybe_unused]] const auto written = ::write(g_wake[1], "", 1);
    errno = before;
}

std::stop_source& interrupts() {
    static auto* const source = new std::stop_source;  // the thread below may outlive static objects
    return *source;
}

/// Asks for the stop when the handler has written.
void forward_interrupts() {
    char byte = 0;
    while (::read(g_wake[0], &byte, 1) < 0 && errno == EINTR) {
    }
    interrupts().request_stop();
}

}  // namespace

void note_interrupts() {
    if (g_wake[0] < 0 && ::pipe2(g_wake, O_CLOEXEC) == 0) std::thread(forward_interrupts).detach();
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
}

std::stop_token interrupt_token() {
    return interrupts().get_token();
}

bool interrupted() {
    return g_interrupted != 0;
}

void stop_if_interrupted() {
    if (interrupted()) throw Error(ErrorKind::cancelled, "stopped");
}

}  // namespace reprise::app
