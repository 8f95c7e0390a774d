// Plans and lists of a denoiser with a network beside it: names say whose modules they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cachify/controlled.h"
#include "report/module_tree.h"
#include "report/plan_drawing.h"
#include "report/plan_view.h"

namespace reprise::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

cachify::Plan plan() {
    const auto graph = cachify::testing::controlled_denoiser({1, 2, 2, 3}, nullptr, nullptr);
    cachify::Entry own{"mid_block", "step % 2 != 0"};
    cachify::Entry control{"*_block*", "step % 2 != 0"};
    control.part = "control.0";
    cachify::PlanRequest request;
    request.steps_of_evaluations = {0, 1};
    request.pieces.variant_bytes = -1;
    return make_plan(graph, cachify::make_schedule(graph, {own, control}, 2, 1), request);
}

TEST(PartsReports, NameModulesByTheirPart) {
    const auto made = plan();
    const PlanView view = view_of(made);
    EXPECT_THAT(view.executions[1].reused, ElementsAre("control.0.down_blocks.0", "control.0.down_blocks.1",
                                                       "control.0.mid_block", "mid_block"));
    std::string parts;
    for (const auto& segment : view.segments) parts += segment.parts + "\n";
    EXPECT_THAT(parts, HasSubstr("control.0.down_blocks.0"));
    EXPECT_THAT(to_text(view), HasSubstr("control.0.mid_block"));
    EXPECT_THAT(plan_drawing(made, view, "Controlled", "a plan", 4), HasSubstr("control.0"));

    const auto graph = cachify::testing::controlled_denoiser({1, 2, 2, 3}, nullptr, nullptr);
    const ModuleTree tree = module_tree(graph, &made);
    for (const auto& row : tree.rows) {
        EXPECT_EQ(row.part, row.name.starts_with("control.0") ? "control.0" : "") << row.name;
        if (row.name.ends_with("down_blocks.0")) {
            EXPECT_EQ(row.reused_steps.size(), row.part.empty() ? 0U : 1U) << row.name;
        }
    }
    for (const auto& row : to_json(tree))
        EXPECT_EQ(row.contains("part"), row["name"].get<std::string>().starts_with("control.0"));
}

}  // namespace
}  // namespace reprise::report
