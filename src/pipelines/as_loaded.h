#pragma once

#include <memory>
#include <string>

#include "files/model_source.h"
#include "schedulers/scheduler.h"

namespace reprise::pipelines {

// What diffusers' pipeline classes make of their parts' configurations when they are loaded: a row here for
// each in docs/diffusers.md, which tests/parity/loading_live.py holds to diffusers.

/// The source with what the constructor of its pipeline's class sets in the configurations, and without what
/// its class leaves unread.
std::shared_ptr<const ModelSource> as_loaded(std::shared_ptr<const ModelSource> source);

/// The source's own scheduler, as its pipeline's class sets it, or another one, `name`, from the
/// configuration that then stands: diffusers' `from_config(pipe.scheduler.config)`.
std::unique_ptr<Scheduler> scheduler_as_loaded(const ModelSource& source, const std::string& name);

}  // namespace reprise::pipelines
