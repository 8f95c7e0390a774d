#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace reprise::app {

/// Memory of this process as Linux tells it, in bytes; zeros where it does not.
struct Memory {
    std::uint64_t own = 0;       ///< anonymous and shared memory: RssAnon + RssShmem
    std::uint64_t resident = 0;  ///< VmRSS: with pages of mapped files
    std::uint64_t peak = 0;      ///< VmHWM: the most that was ever resident
};
Memory memory_now();

/// Seconds since this process was started, from the system's clock.
double seconds_since_start();

/// Watches `Memory::own` in a thread of its own, from construction on.
class MemoryWatch {
  public:
    MemoryWatch();
    ~MemoryWatch();
    MemoryWatch(const MemoryWatch&) = delete;
    MemoryWatch& operator=(const MemoryWatch&) = delete;
    /// The largest value seen so far.
    std::uint64_t peak_own() const;

  private:
    void look();
    std::atomic<std::uint64_t> peak_{0};
    std::jthread thread_;
};

}  // namespace reprise::app
