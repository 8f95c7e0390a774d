#include "core/machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace reprise::machine {
namespace {

namespace fs = std::filesystem;

/// A tree with /proc and /sys of its own, for one test.
class Tree {
  public:
    Tree() {
        std::string name = (fs::temp_directory_path() / "reprise-machine-XXXXXX").string();
        root_ = ::mkdtemp(name.data());
        put("proc/meminfo",
            "MemTotal:       16000 kB\nMemFree:  100 kB\nMemAvailable:   8000 kB\nBuffers: 5 kB\n");
    }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;
    ~Tree() { fs::remove_all(root_); }

    void put(const std::string& name, const std::string& content) const {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name) << content;
    }
    double available() const { return available_bytes(root_).value(); }
    std::size_t processors_of(std::size_t online) const { return processors(root_, online); }
    const fs::path& root() const { return root_; }

  private:
    fs::path root_;
};

constexpr const char* kV2Mount =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kV1Mounts =
    "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n"
    "34 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro master:2 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:31 /docker/abc /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n";

TEST(Machine, WithoutControlGroupsTheSystemsOwn) {
    const Tree tree;
    EXPECT_EQ(tree.available(), 8000.0 * 1024);
    EXPECT_EQ(tree.processors_of(8), 8U);
    fs::remove(tree.root() / "proc/meminfo");
    EXPECT_FALSE(available_bytes(tree.root()));
}

TEST(Machine, Version2TheLeastOfAllAncestors) {
    const Tree tree;
    tree.put("proc/self/mountinfo", kV2Mount);
    tree.put("proc/self/cgroup", "0::/a/b/c\n");
    tree.put("sys/fs/cgroup/memory.stat", "inactive_file 0\n");  // the root group has no limits
    tree.put("sys/fs/cgroup/a/memory.max", "5000000\n");
    tree.put("sys/fs/cgroup/a/memory.high", "max\n");
    tree.put("sys/fs/cgroup/a/memory.current", "4000000\n");
    tree.put("sys/fs/cgroup/a/memory.stat", "anon 7\nfile 9\ninactive_file 1500000\nactive_file 3\n");
    tree.put("sys/fs/cgroup/a/b/memory.max", "max\n");
    tree.put("sys/fs/cgroup/a/b/memory.current", "3000000\n");
    tree.put("sys/fs/cgroup/a/b/c/memory.max", "6000000\n");
    tree.put("sys/fs/cgroup/a/b/c/memory.current", "100\n");
    EXPECT_EQ(tree.available(), 5e6 - (4e6 - 1.5e6));
    tree.put("sys/fs/cgroup/a/b/memory.high", "3200000\n");  // beyond it the kernel slows the group down
    EXPECT_EQ(tree.available(), 200000.0);
    tree.put("sys/fs/cgroup/a/b/memory.high", "2000000\n");  // used up: nothing is left, which is known
    EXPECT_EQ(tree.available(), 0.0);

    tree.put("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    tree.put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    EXPECT_EQ(tree.processors_of(8), 3U);
    EXPECT_EQ(tree.processors_of(2), 2U);
    tree.put("sys/fs/cgroup/a/b/c/cpu.max", "10000 100000\n");
    EXPECT_EQ(tree.processors_of(8), 1U);
}

TEST(Machine, Version1AsAContainerSeesIt) {
    const Tree tree;
    tree.put("proc/self/mountinfo", kV1Mounts);
    tree.put("proc/self/cgroup",
             "9:memory:/docker/abc/job\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n");
    tree.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000000\n");
    tree.put("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000000\n");
    tree.put("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500000\n");
    tree.put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");  // none
    tree.put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000\n");
    EXPECT_EQ(tree.available(), 1.5e6);
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(tree.processors_of(4), 4U);
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
    EXPECT_EQ(tree.processors_of(4), 2U);
}

TEST(Machine, AGroupOutsideOfWhatIsMountedIsTheMountsOwn) {
    const Tree tree;
    tree.put("proc/self/mountinfo",
             "30 23 0:26 /user.slice/x /mnt/control\\040groups rw - cgroup2 cgroup2 rw\n");
    tree.put("mnt/control groups/memory.max", "3000\n");
    tree.put("mnt/control groups/memory.current", "1000\n");
    for (const char* group :
         {"0::/../other\n", "0::/elsewhere\n", "0::/user.slice/x\n", "0::/user.slice/x/gone\n"}) {
        tree.put("proc/self/cgroup", group);
        EXPECT_EQ(tree.available(), 2000.0) << group;
    }
}

TEST(Machine, WhatIsThereIsRead) {
    EXPECT_GT(available_bytes().value(), 0);
    EXPECT_GE(processors(), 1U);
    EXPECT_GT(most_mappings().value(), mappings().value());
    // every second page of a range may be read: each page is a mapping of its own
    constexpr std::size_t kPages = 64, kPage = 4096;
    auto* range = static_cast<std::byte*>(
        ::mmap(nullptr, kPages * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const auto before = mappings().value();
    for (std::size_t i = 0; i < kPages; i += 2) ::mprotect(range + i * kPage, kPage, PROT_READ);
    EXPECT_GE(mappings().value(), before + kPages / 2);
    ::munmap(range, kPages * kPage);
}

}  // namespace
}  // namespace reprise::machine
