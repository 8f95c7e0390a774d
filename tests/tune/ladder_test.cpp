// The ways to run a step of a denoiser like none that is known.
#include "tune/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cachify/denoisers.h"
#include "cachify/plan.h"
#include "cachify/strange.h"
#include "cachify/units.h"

namespace reprise::tune {
namespace {

using cachify::Store;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> names_of(const std::vector<Rung>& ladder) {
    std::vector<std::string> names;
    for (const Rung& rung : ladder) names.push_back(rung.name);
    return names;
}

/// The FLOPs of a step that is reused as a configuration says, as a share of a full one.
double share_of(const graph::Graph& graph, const cachify::Config& config) {
    const auto units = cachify::with_units(graph, config);
    const graph::Graph& own = units ? units->graph : graph;
    const auto schedule = cachify::make_schedule(own, units ? units->config : config, 4, 2);
    cachify::PlanRequest request;
    request.steps_of_evaluations = {0, 1, 2, 3};
    const auto plan = cachify::make_plan(own, schedule, request);
    return plan.cost_of_execution(plan.analysis.path.back()).flops / plan.cost_of_full().flops;
}

TEST(Ladder, OfTheStrangeDenoiserHasAPathForEachDepth) {
    const auto graph = cachify::testing::strange_denoiser();
    const cachify::PolicyContext context = {"StrangeModel", graph};
    const Choices choices{path_stores(context).front(), {Store::Rule::delta}, {Store::Rule::delta}};
    EXPECT_THAT(path_stores(context),
                ElementsAre(Store{Store::Rule::output}, Store{Store::Rule::forecast, 1}));
    EXPECT_THAT(single_blocks(context, choices.path), IsEmpty());
    // one skip of those that nest ends in the last block
    EXPECT_THAT(names_of(make_ladder(context, choices, false)),
                ElementsAre("full", "whole", "path 0", "path 1"));
    const auto ladder = make_ladder(context, choices, true);
    EXPECT_THAT(names_of(ladder),
                ElementsAre("full", "whole", "path 0", "path 0, half", "path 1", "path 1, half", "half"));
    EXPECT_LT(share_of(graph, ladder[2].config), share_of(graph, ladder[4].config));
    EXPECT_LT(share_of(graph, ladder[4].config), 1);

    const Modes modes = {0, 2, 4, 3};
    const auto config = config_of(graph, ladder, modes);
    EXPECT_LT(share_of(graph, config), 1);
    Choices parsed;
    EXPECT_TRUE(parse_choices(to_string(choices), context, parsed));
    EXPECT_EQ(to_string(parsed), to_string(choices));
}

TEST(Ladder, OfBlocksInARowKeepsSomeAtEachEnd) {
    const auto graph = cachify::testing::graph_of(cachify::testing::stack("anything", 16));
    const cachify::PolicyContext context = {"AnyModel", graph};
    const Choices choices{path_stores(context).front(), {Store::Rule::delta}, {Store::Rule::delta}};
    EXPECT_THAT(path_stores(context).front(), Store{Store::Rule::delta});
    EXPECT_EQ(single_blocks(context, choices.path).size(), 16U);
    EXPECT_THAT(names_of(make_ladder(context, choices, false)),
                ElementsAre("full", "whole", "path 0", "path 1", "path 3"));
}

}  // namespace
}  // namespace reprise::tune
