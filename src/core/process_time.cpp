#include "core/process_time.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace reprise {

namespace {

/// Linux: the second number of a thread's schedstat is how long it waited on a run queue, in nanoseconds.
double waited_seconds() {
    double nanoseconds = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator task("/proc/self/task", error), end; !error && task != end;
         task.increment(error)) {
        std::ifstream file(task->path() / "schedstat");
        if (double running = 0, waited = 0; file >> running >> waited) nanoseconds += waited;
    }
    return nanoseconds * 1e-9;
}

}  // namespace

ProcessTime process_time() {
    timespec cpu{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return {std::chrono::duration<double>(now).count(),
            static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) * 1e-9, waited_seconds()};
}

}  // namespace reprise
