#include "memory.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace reprise::app {

Memory memory_now() {
    Memory memory;
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        std::uint64_t kilobytes = 0;
        if (!(words >> key >> kilobytes)) continue;
        const std::uint64_t bytes = kilobytes * 1024;
        if (key == "RssAnon:" || key == "RssShmem:") memory.own += bytes;
        if (key == "VmRSS:") memory.resident = bytes;
        if (key == "VmHWM:") memory.peak = bytes;
    }
    return memory;
}

double seconds_since_start() {
    // Field 22 of /proc/self/stat: ticks after boot. The second field, a name in brackets, may hold blanks.
    std::ifstream file("/proc/self/stat");
    std::string text;
    std::getline(file, text);
    const auto bracket = text.rfind(')');
    if (bracket == std::string::npos) return 0;
    std::istringstream words(text.substr(bracket + 1));
    std::string word;
    for (int field = 3; field <= 22; ++field) words >> word;
    const double ticks = std::strtod(word.c_str(), nullptr);
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    const double seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
    return seconds - ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

MemoryWatch::MemoryWatch()
    : thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
              look();
              std::this_thread::sleep_for(std::chrono::milliseconds(20));
          }
      }) {}

MemoryWatch::~MemoryWatch() = default;

void MemoryWatch::look() {
    peak_ = std::max(peak_.load(), memory_now().own);
}

std::uint64_t MemoryWatch::peak_own() const {
    return std::max(peak_.load(), memory_now().own);
}

}  // namespace reprise::app
