/* partition/tool/cmd_quantize.h — gemmapipe-partition quantize: a checkpoint or GGUF file in, quantised GGUF files out. */
#pragma once

#include "base/error.h"

int cmd_quantize(int argc, char **argv, struct err *why);
