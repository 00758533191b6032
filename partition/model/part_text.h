/* partition/model/part_text.h — what a worker has of the text, and of the pictures, and what it is for, in words and as JSON. */
#pragma once

#include "partition/model/memory.h"

#include <stdio.h>

/* Of the text: "layers 0-11", "layers 23-33 and the head", "layers 0-16 and 8/16 of the head", "the head", "nothing" into `out`;
 * returns out. */
char *show_part(char out[64], struct part s);
/* The same for a narrow column: "0-16 + 8/16", "23-33 + head", "head". */
char *show_part_briefly(char out[32], struct part s);
/* Of the pictures: "patches, 0-8", "9-17", "18-26, projector". */
char *show_vision_part(char out[64], struct part s);
/* "4 sequences of 4096 positions"; where they cannot all be so long "4 sequences of up to 4096 positions, 6400 together", or
 * "4 sequences of up to 4096 positions, no more than one so long together". */
char *show_capacity(char out[96], const struct capacity *cap);
/* Of the text: "first", "end", "head" and "parts" as partition/plan/plan_json.h has them, without braces. */
void part_write_json(FILE *to, struct part s);
