#include "core/process_time.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

namespace reprise {
namespace {

TEST(ProcessTime, CountsWhatThreadsUseAndWaitFor) {
    const ProcessTime begin = process_time();
    std::atomic<bool> stop = false;
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 3 * std::max(1U, std::thread::hardware_concurrency()); ++i)
        threads.emplace_back([&] {
            while (!stop) {
            }
        });
    ProcessTime used;
    do used = process_time() - begin;
    while (used.wall < 0.1);  // with threads that still run: what they waited for is theirs
    stop = true;
    EXPECT_GT(used.cpu, 0);
    if (!std::filesystem::exists("/proc/self/schedstat")) GTEST_SKIP() << "this system does not say";
    EXPECT_GT(used.waited, 0);  // three threads want each CPU
}

}  // namespace
}  // namespace reprise
