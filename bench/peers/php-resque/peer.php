<?php
/* Resque in PHP. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Wanted {
    protected function package(): string
    {
        return 'resque/php-resque';
    }
});
