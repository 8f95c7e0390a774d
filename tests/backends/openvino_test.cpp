// What only the OpenVINO backend has: precisions that the CPU must have natively. Runs in builds with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "backends/support.h"
#include "reprise/error.h"

namespace reprise::test {

namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A flag of the first processor in /proc/cpuinfo.
bool cpu_flag(const std::string& flag) {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("flags")) return (line + " ").find(" " + flag + " ") != std::string::npos;
    return false;
}

class OpenvinoBackend : public testing::Test {
  protected:
    void SetUp() override {
        const auto names = backends::available();
        if (std::find(names.begin(), names.end(), "openvino") == names.end())
            GTEST_SKIP() << "built without OpenVINO";
        if (!std::ifstream("/proc/cpuinfo")) GTEST_SKIP() << "not Linux";
    }
    static bool limited_to(const char* isa) {
        const char* limit = std::getenv("ONEDNN_MAX_CPU_ISA");
        return limit != nullptr && std::string(limit) == isa;
    }
};

TEST_F(OpenvinoBackend, PrefersBf16OnlyWhereItIsNative) {
    const bool native = cpu_flag("avx512_bf16") && !limited_to("AVX2");
    EXPECT_EQ(computes_in(*backend_named("openvino"), DType::bf16), native);
    const DType preferred = backend_named("openvino")->preferred_precision("CPU");
    EXPECT_EQ(preferred, backend_named("openvino")->preferred_precision("CPU"));
    if (!native) {
        EXPECT_EQ(preferred, DType::f32);
    } else if (cpu_flag("amx_bf16")) {
        EXPECT_EQ(preferred, DType::bf16);
    }
}

TEST_F(OpenvinoBackend, RefusesF16WhereItIsNotNative) {
    if (cpu_flag("avx512_fp16")) GTEST_SKIP() << "native here";
    try {
        backend_named("openvino")->check_precision("CPU", DType::f16);
        FAIL() << "no Error was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("CPU"), HasSubstr("f16"), HasSubstr("f32")));
    }
}

}  // namespace

// Backends go in another order than they came; what is left is a signal stack that may be written to.
TEST_F(OpenvinoBackend, LeavesAUsableSignalStack) {
    auto first = backends::create("openvino");
    first->devices();
    auto second = backends::create("openvino");
    second->devices();
    first.reset();
    second.reset();
    stack_t stack = {};
    ASSERT_EQ(sigaltstack(nullptr, &stack), 0);
    if ((stack.ss_flags & SS_DISABLE) != 0) return;
    // mincore says ENOMEM of pages that are not there
    unsigned char resident = 0;
    EXPECT_EQ(mincore(stack.ss_sp, 1, &resident), 0);
}

}  // namespace reprise::test
