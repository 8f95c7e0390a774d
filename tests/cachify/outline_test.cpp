// Outlines of denoisers: what the graph says of them, and what is known where there is no graph.
#include "graph/outline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cachify/denoisers.h"
#include "cachify/policies.h"
#include "cachify/strange.h"
#include "models/registry.h"

namespace reprise::cachify {
namespace {

using graph::Outline;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::listing;
using testing::strange_denoiser;
using testing::unet;

struct Fixture {
    std::string folder, denoiser_class;
    friend std::ostream& operator<<(std::ostream& out, const Fixture& fixture) {
        return out << fixture.folder;
    }
};

graph::Graph structure(const Fixture& fixture) {
    const auto config =
        reprise::Config::load(std::string(REPRISE_FIXTURES) + "/" + fixture.folder + "/config.json");
    const bool video = fixture.denoiser_class.find("Temporal") != std::string::npos;
    return models::make_denoiser(fixture.denoiser_class, config)
        ->build({1, 8, 8, 7, video ? 2 : 0}, DType::f32, nullptr);
}

std::vector<std::string> parts_of(const Outline& outline, const std::string& unit) {
    std::vector<std::string> names;
    for (const auto& known : outline.units)
        if (known.name == unit)
            for (const auto& layer : known.layers) names.push_back(layer.name.substr(unit.size() + 1));
    return names;
}

class UNets : public ::testing::TestWithParam<Fixture> {};

TEST_P(UNets, HaveSkipsThatNest) {
    const Outline outline = graph::outline_of(structure(GetParam()));
    EXPECT_FALSE(outline.in_a_row());
    const auto nested = nested_skips(outline);
    const auto leave_out = [&](const auto& skip) { return !within_skip(outline, skip).empty(); };
    EXPECT_EQ(nested.size(), std::count_if(outline.skips.begin(), outline.skips.end(), leave_out));
    EXPECT_EQ(nested.front().from, -1);
    EXPECT_EQ(nested.front().to, static_cast<int>(outline.units.size()) - 1);
    for (std::size_t i = 1; i < nested.size(); ++i)
        EXPECT_NE(within_skip(outline, nested[i]), within_skip(outline, nested[i - 1])) << i;
    // one stream runs through all blocks
    for (const auto& unit : outline.units) {
        EXPECT_THAT(unit.takes, ElementsAre(0)) << unit.name;
        ASSERT_FALSE(unit.gives.empty()) << unit.name;
        EXPECT_EQ(unit.gives.front(), 0) << unit.name;
        for (std::size_t o = 1; o < unit.gives.size(); ++o) EXPECT_EQ(unit.gives[o], -1) << unit.name;
    }
}

// A denoiser of diffusers is a list of modules: the names of its class say the same.
TEST_P(UNets, AreKnownByTheirNames) {
    const auto graph = structure(GetParam());
    const Outline outline = graph::outline_of(graph);
    const Outline listed = models::outline_of(GetParam().denoiser_class, listing(graph));
    EXPECT_EQ(listed.skips, outline.skips);
    ASSERT_EQ(names_of(listed), names_of(outline));
    for (std::size_t u = 0; u < outline.units.size(); ++u) {
        EXPECT_EQ(listed.units[u].layers, outline.units[u].layers) << outline.units[u].name;
        EXPECT_EQ(listed.units[u].stack, outline.units[u].stack);
    }
}

std::vector<Fixture> unets() {
    std::vector<Fixture> fixtures;
    for (const char* name : {"models/unet_sdxl", "models/unet_sdxl_odd", "models/unet_sd1", "models/unet_sd2",
                             "models/unet_asymmetric", "models/unet_scale_shift", "models/unet_mid_resnet",
                             "pipelines/tiny-sd/unet", "pipelines/tiny-sdxl/unet"})
        fixtures.push_back({name, "UNet2DConditionModel"});
    for (const char* name : {"models/svd", "models/svd_odd", "models/svd_nested_layers",
                             "models/svd_published_blocks", "pipelines/tiny-svd/unet"})
        fixtures.push_back({name, "UNetSpatioTemporalConditionModel"});
    return fixtures;
}
INSTANTIATE_TEST_SUITE_P(Fixtures, UNets, ::testing::ValuesIn(unets()));

TEST(Outlines, OfTheTinyUNet) {
    const Outline outline =
        graph::outline_of(structure({"pipelines/tiny-sdxl/unet", "UNet2DConditionModel"}));
    EXPECT_THAT(names_of(outline), ElementsAre("down_blocks.0", "down_blocks.1", "down_blocks.2", "mid_block",
                                               "up_blocks.0", "up_blocks.1", "up_blocks.2"));
    EXPECT_EQ(outline.units[1].stack, "down_blocks");
    EXPECT_EQ(outline.units[3].stack, "mid_block");
    EXPECT_EQ(last_stack_size(outline), 3U);
}

TEST(Outlines, OfTransformersHaveNoSkips) {
    for (const char* name :
         {"pipelines/tiny-pixart/transformer", "pipelines/tiny-pixart-sigma/transformer"}) {
        const Outline outline = graph::outline_of(structure({name, "PixArtTransformer2DModel"}));
        EXPECT_TRUE(outline.in_a_row());
        for (const auto& unit : outline.units) {
            EXPECT_EQ(unit.stack, "transformer_blocks");
            EXPECT_THAT(unit.takes, ElementsAre(0));
            EXPECT_THAT(unit.gives, ElementsAre(0));
            EXPECT_THAT(unit.residual, ElementsAre(true));
        }
    }
    for (const char* name : {"pipelines/tiny-sd3/transformer", "pipelines/tiny-sd35/transformer"}) {
        const Outline outline = graph::outline_of(structure({name, "SD3Transformer2DModel"}));
        EXPECT_TRUE(outline.in_a_row());
        for (std::size_t u = 0; u + 1 < outline.units.size(); ++u) {
            EXPECT_THAT(outline.units[u].takes, ElementsAre(1, 0));  // the text, then the picture
            EXPECT_THAT(outline.units[u].gives, ElementsAre(1, 0));
            EXPECT_THAT(outline.units[u].residual, ElementsAre(true, true));
        }
        EXPECT_THAT(outline.units.back().takes, ElementsAre(0));
    }
}

TEST(Outlines, OfTheStrangeDenoiser) {
    const Outline outline = graph::outline_of(strange_denoiser());
    EXPECT_THAT(names_of(outline),
                ElementsAre("gather.0", "gather.1", "gather.2", "hinge", "spread.0", "spread.1", "spread.2"));
    EXPECT_EQ(outline.units[1].stack, "gather");
    EXPECT_EQ(outline.units[3].stack, "hinge");
    EXPECT_EQ(last_stack_size(outline), 3U);
    EXPECT_THAT(parts_of(outline, "gather.2"), ElementsAre("mix", "then"));
    EXPECT_THAT(parts_of(outline, "spread.0"), ElementsAre("mix", "see"));
    // stream 0 is the picture, stream 1 the lane
    EXPECT_THAT(outline.units[0].takes, ElementsAre(0));
    EXPECT_THAT(outline.units[0].gives, ElementsAre(0, -1));
    EXPECT_THAT(outline.units[1].takes, ElementsAre(0, 1));
    EXPECT_THAT(outline.units[1].gives, ElementsAre(0, 1, -1));
    EXPECT_THAT(outline.units[1].residual, ElementsAre(true, true, true));
    EXPECT_THAT(outline.units[4].takes, ElementsAre(0, 1));
    // spread.2 sees the lane as it is: that is no skip
    using Skip = Outline::Skip;
    EXPECT_THAT(outline.skips, ElementsAre(Skip{2, 1, 1, 4, 1}, Skip{0, 1, 0, 5, 0}, Skip{2, 1, 1, 5, 0},
                                           Skip{1, 2, 1, 6, 1}, Skip{-1, 0, 0, 6, 1}));
    EXPECT_THAT(nested_skips(outline),
                ElementsAre(Skip{-1, 0, 0, 6, 1}, Skip{0, 1, 0, 5, 0}, Skip{2, 1, 1, 4, 1}));
    std::vector<std::string> within;
    for (const auto& part : within_skip(outline, {2, 1, 1, 4, 1})) within.push_back(part.name);
    EXPECT_THAT(within, ElementsAre("gather.2.then", "hinge", "spread.0.mix"));
}

TEST(Outlines, OfSkipsThatCrossOrFollowOneAnother) {
    const auto chain = [](std::vector<Outline::Skip> skips) {
        Outline outline;
        for (int u = 0; u < 8; ++u) outline.units.push_back({"u." + std::to_string(u), "u"});
        outline.skips = std::move(skips);
        return nested_skips(outline);
    };
    using Skip = Outline::Skip;
    // the short one at the beginning is no reason to do without the two that nest
    EXPECT_THAT(chain({{-1, 0, 0, 1, 0}, {1, 0, 0, 7, 0}, {2, 0, 0, 6, 0}}),
                ElementsAre(Skip{1, 0, 0, 7, 0}, Skip{2, 0, 0, 6, 0}));
    EXPECT_THAT(chain({{0, 0, 0, 4, 0}, {2, 0, 0, 6, 0}}), ElementsAre(Skip{0, 0, 0, 4, 0}));
    EXPECT_THAT(chain({{0, 0, 0, 1, 0}}), IsEmpty());  // nothing runs within
    EXPECT_THAT(chain({}), IsEmpty());
}

TEST(Outlines, OfNothing) {
    const Outline outline = graph::outline_of(testing::graph_of({}));
    EXPECT_THAT(outline.units, IsEmpty());
    EXPECT_FALSE(outline.in_a_row());
    EXPECT_EQ(last_stack_size(outline), 0U);
    EXPECT_EQ(graph::stack_of("a.b.12"), "a.b");
    EXPECT_EQ(graph::stack_of("mid_block"), "mid_block");
    EXPECT_EQ(graph::stack_of("a."), "a.");
    EXPECT_EQ(graph::stack_of("a.1b"), "a.1b");
}

// Blocks that list no layers share one skip.
TEST(Outlines, OfKBlocksByTheirNames) {
    const auto graph = unet({0, 0, 0}, false);
    EXPECT_EQ(models::outline_of("UNet2DConditionModel", listing(graph)).skips,
              graph::outline_of(graph).skips);
}

}  // namespace
}  // namespace reprise::cachify
