#pragma once

/// All headers that users of the library need.
#include "reprise/cachify.h"
#include "reprise/dtype.h"
#include "reprise/embeddings.h"
#include "reprise/error.h"
#include "reprise/image.h"
#include "reprise/message.h"
#include "reprise/module_kind.h"
#include "reprise/pipeline.h"
#include "reprise/policies.h"
#include "reprise/profile.h"
#include "reprise/reuse.h"
#include "reprise/running_policies.h"
#include "reprise/tensor.h"
#include "reprise/tune.h"
