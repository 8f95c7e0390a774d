#pragma once

#include <string>
#include <vector>

#include "cachify/analysis.h"

namespace reprise::cachify {

/// A schedule as a runner follows it that wraps modules and knows no plans: for each evaluation, half of
/// guidance and mode, what each module that a rule names does. A value; it has no tensors. Where the rule is
/// `output`, lines do not count outputs that depend on fixed inputs alone: they are the same at each
/// evaluation.
struct Script {
    struct Unit {
        std::string name;
        graph::ModuleId module = 0;
        Store store;
    };
    enum class Action {
        run,       ///< it runs; nothing later reads its values
        keep,      ///< it runs, and its values are kept
        recall,    ///< its outputs are made of kept values
        hidden,    ///< it is inside a module that is reused, or in a variant that does not run
        left_out,  ///< nothing needs it, whether it would run or be recalled
    };
    struct Line {
        Action action = Action::run;
        /// To recall: how many of the last kept values, newest first; of a mean, the last one of each half. A
        /// module's outputs that need more are not read here.
        int terms = 0;
        /// Their weights. Empty where they depend on which modes are chosen: then `weights_at` has them, of
        /// the evaluations that were kept.
        std::vector<float> weights = {};
        /// Afterwards so many of the newest kept values may still be read; older ones may be dropped.
        int held = 0;
    };
    struct Scene {
        Execution execution;
        std::vector<Line> lines;  ///< by unit
    };

    std::vector<Unit> units;    ///< a module before those inside it
    std::vector<Scene> scenes;  ///< in order; those of one evaluation and half are alternatives
};

/// The script of what an analysis found. Without probes: a decision looks at values while they are made.
Script make_script(const Extended& extended, const Schedule& schedule, const Analysis& analysis);

}  // namespace reprise::cachify
