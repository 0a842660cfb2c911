<?php
/* Laravel's queue with Horizon's supervisor. */
return get_class(new class ('', '', sys_get_temp_dir()) extends Wanted {
    protected function package(): string
    {
        return 'laravel/horizon';
    }
});
