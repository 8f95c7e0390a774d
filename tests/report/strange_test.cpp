// Drawings of a denoiser like none that is known.
#include "cachify/strange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cachify/denoisers.h"
#include "cachify/policies.h"
#include "cachify/units.h"
#include "markup.h"
#include "report/graph_drawing.h"
#include "report/graph_layout.h"
#include "report/module_tree.h"
#include "report/plan_blocks.h"
#include "report/plan_drawing.h"
#include "report/plan_view.h"
#include "reprise/error.h"

namespace reprise::report {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

cachify::Plan plan_of(const graph::Graph& graph, const cachify::Config& config) {
    const auto units = cachify::with_units(graph, config);
    const graph::Graph& own = units ? units->graph : graph;
    const auto schedule = cachify::make_schedule(own, units ? units->config : config, 6, 2);
    cachify::PlanRequest request;
    request.steps_of_evaluations = {0, 1, 2, 3, 4, 5};
    return cachify::make_plan(own, schedule, request);
}

std::vector<std::string> links(const cachify::Plan& plan, std::ptrdiff_t execution) {
    const PlanBlocks blocks(plan);
    const auto name = [&](int end) {
        if (end == GraphDrawing::kLatents) return std::string("latents");
        if (end == GraphDrawing::kPrediction) return std::string("prediction");
        const auto id = static_cast<std::size_t>(blocks.modules()[static_cast<std::size_t>(end)]);
        return plan.extended.graph.modules[id].name;
    };
    std::vector<std::string> result;
    for (const auto& [link, origins] : blocks.flow_at(execution))
        result.push_back(name(link.first) + " > " + name(link.second));
    return result;
}

TEST(StrangeDrawing, ShowsWhatPassesBetweenBlocks) {
    const auto graph = cachify::testing::strange_denoiser();
    const auto plan = plan_of(graph, cachify::make_policy({"StrangeModel", graph}, "deepcache:interval=2"));
    EXPECT_THAT(links(plan, -1),
                UnorderedElementsAre("latents > gather.0", "latents > spread.2", "gather.0 > gather.1",
                                     "gather.0 > spread.1", "gather.1 > gather.2", "gather.1 > spread.0",
                                     "gather.1 > spread.2", "gather.2 > hinge", "gather.2 > spread.0",
                                     "gather.2 > spread.1", "hinge > spread.0", "spread.0 > spread.1",
                                     "spread.0 > spread.2", "spread.1 > spread.2", "spread.2 > prediction"));
    // The outermost path leaves out all but the last block, which reads what two of them gave before.
    const auto& sequence = plan.analysis.sequence;
    const auto at = std::find_if(sequence.begin(), sequence.end(), [](const auto& e) { return e.step == 1; });
    EXPECT_THAT(links(plan, at - sequence.begin()),
                UnorderedElementsAre("latents > spread.2", "gather.1 > spread.2", "spread.0 > spread.2",
                                     "spread.2 > prediction"));
}

TEST(StrangeDrawing, OfEveryPolicyIsWhole) {
    const auto graph = cachify::testing::strange_denoiser();
    const cachify::PolicyContext context = {"StrangeModel", graph};
    int drawn = 0;
    for (const auto& policy : cachify::policies()) {
        cachify::Config config;
        try {
            config = cachify::make_policy(context, policy.name);
        } catch (const Error& refused) {
            EXPECT_EQ(std::string(refused.what()).find('\n'), std::string::npos);
            continue;
        }
        ++drawn;
        const auto plan = plan_of(graph, config);
        const PlanView view = view_of(plan);
        const std::string drawing = plan_drawing(plan, view, "StrangeModel", std::string(policy.name), 9);
        EXPECT_EQ(fault_of_markup(drawing), "") << policy.name;
        for (const char* block : {"gather.0", "gather.1", "gather.2", "hinge", "spread.0", "spread.2"})
            EXPECT_THAT(drawing, HasSubstr(std::string("<title>") + block + ": ")) << policy.name;
        EXPECT_FALSE(to_text(view).empty());
        EXPECT_EQ(module_tree(graph, &plan).rows.size(), graph.modules.size());
    }
    EXPECT_GT(drawn, 10);
}

GraphDrawing drawing_of(int blocks, std::vector<GraphDrawing::Link> skips) {
    GraphDrawing drawing;
    for (int b = 0; b < blocks; ++b) drawing.blocks.push_back({"block." + std::to_string(b), {}});
    drawing.skips = std::move(skips);
    return drawing;
}

TEST(Layout, SkipsDecideWhetherBlocksStandInAU) {
    EXPECT_TRUE(layout_of(drawing_of(5, {})).column);
    const GraphLayout u = layout_of(drawing_of(5, {{0, 4}, {1, 3}}));
    EXPECT_FALSE(u.column);
    EXPECT_EQ(u.blocks[0].x, u.blocks[1].x);
    EXPECT_EQ(u.blocks[3].x, u.blocks[4].x);
    EXPECT_LT(u.blocks[0].x, u.blocks[2].x);
    EXPECT_LT(u.blocks[2].x, u.blocks[4].x);
    EXPECT_EQ(u.blocks[0].y, u.blocks[4].y);
    EXPECT_GT(u.blocks[2].y, u.blocks[1].y);
    // one that ends before another begins
    EXPECT_TRUE(layout_of(drawing_of(6, {{0, 2}, {3, 5}})).column);
}

}  // namespace
}  // namespace reprise::report
