#include <gtest/gtest.h>

#include <string>

#include "reprise/cachify.h"

namespace reprise::cachify {
namespace {

int reused_blocks(const Config& config) {
    int count = 0;
    for (int i = 0; i < 28; ++i)
        if (config.front().wildcard_or_filter_func.matches("transformer_blocks." + std::to_string(i)))
            ++count;
    return count;
}

// The original's expression means to leave out blocks 21 to 27, and leaves out none.
TEST(PixArtConfigs, TheOriginalExampleReusesEveryBlock) {
    EXPECT_EQ(reused_blocks(PIXART_DEFAULT_CONFIG), 21);
    EXPECT_EQ(reused_blocks(PIXART_ORIGINAL_EXAMPLE_CONFIG), 28);
    for (const Config* config : {&PIXART_DEFAULT_CONFIG, &PIXART_ORIGINAL_EXAMPLE_CONFIG}) {
        EXPECT_FALSE(config->front().select_cache_step_func(3, 20));
        EXPECT_TRUE(config->front().select_cache_step_func(4, 20));
    }
}

}  // namespace
}  // namespace reprise::cachify
