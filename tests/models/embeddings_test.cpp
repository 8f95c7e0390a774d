#include "models/embeddings.h"

#include "support.h"

namespace reprise::models {
namespace {

TEST(SinusoidalEmbedding, EqualsDiffusers) {
    const SafetensorsFile expected(std::string(REPRISE_FIXTURES) + "/models/sinusoids.safetensors");
    const Tensor timesteps = *expected.find("timesteps");
    for (const std::int64_t width : {8, 9, 320})
        for (const bool flip : {false, true})
            for (const int shift : {0, 1}) {
                const std::string name = fmt::format("{}/{}/{}", width, flip ? 1 : 0, shift);
                const Tensor result =
                    sinusoidal_embedding(timesteps.span<float>(), {width, flip, static_cast<float>(shift)});
                testing::expect_close(result, *expected.find(name), name);
                // One row at a time gives the same.
                const Tensor last = timestep_embedding(timesteps.span<float>().back(),
                                                       {width, flip, static_cast<float>(shift)});
                EXPECT_EQ(last.shape(), (Shape{1, width}));
                EXPECT_EQ(testing::relative_difference(last.span<float>(), result.rows(4, 5).span<float>()),
                          0);
            }
}

}  // namespace
}  // namespace reprise::models
