#pragma once

#include <memory>
#include <string>

#include "files/model_source.h"
#include "schedulers/scheduler.h"

namespace reprise::pipelines {

// What diffusers' pipeline classes make of their parts' configurations when they are loaded: a row here for
// each in docs/diffusers.md, which tests/parity/loading_live.py holds to diffusers.

/// A switch of model_index.json, where null is off, as None is for Python.
bool is_set(const Config& index, const char* key, bool otherwise);
/// Whether the pipeline is one of Stable Diffusion XL's two.
bool is_stable_diffusion_xl(const ModelSource& source);
/// Whether its UNet is told the picture's aesthetic score, as the refiner's is.
bool takes_aesthetic_score(const ModelSource& source);

/// The source with what the constructor of its pipeline's class sets in the configurations, and without what
/// its class leaves unread.
std::shared_ptr<const ModelSource> as_loaded(std::shared_ptr<const ModelSource> source);

/// The source's own scheduler, as its pipeline's class sets it, or another one, `name`, from the
/// configuration that then stands: diffusers' `from_config(pipe.scheduler.config)`.
std::unique_ptr<Scheduler> scheduler_as_loaded(const ModelSource& source, const std::string& name);

}  // namespace reprise::pipelines
