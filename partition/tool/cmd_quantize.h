/* partition/tool/cmd_quantize.h — gemmapipe-partition quantize: a checkpoint or GGUF file in, quantised GGUF files out. */
#ifndef PARTITION_TOOL_CMD_QUANTIZE_H
#define PARTITION_TOOL_CMD_QUANTIZE_H

#include "base/error.h"

int cmd_quantize(int argc, char **argv, struct err *why);

#endif
