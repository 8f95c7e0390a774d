#pragma once

#include <vector>

#include "reprise/tune.h"
#include "tune/subject.h"

namespace reprise::tune {

/// Finds the schedules of a subject, as `tune` does of a pipeline. Of the options it reads those of the
/// search: goals, seed, trials, minutes, state and progress.
std::vector<Tuned> tune(Subject& subject, const TuneOptions& options);

/// Usage error for goals that mean nothing.
void check_goals(const TuneOptions& options);

/// Decibels of pictures that are the same.
inline constexpr double kEqual = 99;

}  // namespace reprise::tune
